// What other programs may import from the package: the loop, the engine's faces, the store, and the pure parts of the method.
// The only barrel; inside the package files import each other directly.

export { equivalent } from "./answer/equivalent.ts";
export { extractBoxed } from "./answer/extract.ts";
export { type Vote, vote } from "./answer/vote.ts";
export { loadConfig, loadConfigFile, parseOverride } from "./config/load.ts";
export type { Config, ConfigInput } from "./config/schema.ts";
export { createEngine } from "./engine/create.ts";
export type {
  Completion,
  Datum,
  Engine,
  LossFn,
  Prompt,
  Sampler,
  SamplingParams,
  Scorer,
  Snapshot,
  Tokenizer,
  Trainer,
} from "./engine/types.ts";
export { type BenchQuestion, readBench } from "./evaluation/benchmarks.ts";
export { evaluate } from "./evaluation/runner.ts";
export { batchAdvantages, groupAdvantages } from "./grpo/advantage.ts";
export { type GrpoLossOptions, grpoLoss } from "./grpo/loss.ts";
export { challengerRewards } from "./reward/challenger.ts";
export { solverReward } from "./reward/solver.ts";
export { runSelfPlay, type SelfPlayOptions } from "./selfplay/run.ts";
export type { VerifierModule, Verify } from "./selfplay/verifier-types.ts";
export type { ProgressEvent, RunEvent, RunSummary } from "./store/events.ts";
export type { RunStore } from "./store/run-store.ts";
export { createRun, listRuns, openRun } from "./store/runs.ts";
export { CheckpointError, ConfigError, DataError, EngineError, InterruptedError, RunError } from "./util/errors.ts";
