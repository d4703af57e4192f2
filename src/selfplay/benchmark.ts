// Speed of the loop's own work: one GRPO step, and one iteration of R-Zero phase by phase. Uses the same code as a run; knows no
// machine and no peaks (engine/benchmark.ts).

import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Config } from "../config/schema.ts";
import type { AdamWParams, Engine, Prompt, Sampler, Scorer, Trainer } from "../engine/types.ts";
import { groupAdvantages } from "../grpo/advantage.ts";
import type { DatumInput } from "../grpo/datum.ts";
import { grpoStep } from "../grpo/step.ts";
import type { RunEvent } from "../store/events.ts";
import { createRun } from "../store/runs.ts";
import { runSelfPlay } from "./run.ts";

/** Models and sizes of a GRPO step. */
export interface GrpoBench {
  readonly trainer: Trainer;
  /** Frozen reference model of the KL term. */
  readonly reference: Scorer;
  /** Prompts of equal length, each answered `size` times with exactly `completion` tokens. */
  readonly prompts: readonly Prompt[];
  readonly size: number;
  readonly completion: number;
  readonly optimizer: AdamWParams;
}

const GRPO = { clipLow: 0.2, clipHigh: 0.3, clipDual: 3, klWeight: 0.01, lossNormalisation: "token-mean" } as const;

/** One step as the Solver phase makes it: sample, reward, reference logprobs, update. `seed` makes calls differ. */
export async function benchmarkGrpoStep(bench: GrpoBench, seed: number): Promise<void> {
  const { trainer, reference, prompts, size } = bench;
  const snapshot = await trainer.snapshot();
  let rollouts: DatumInput[];
  try {
    rollouts = await sampleRollouts(snapshot, bench, seed);
  } finally {
    await snapshot.dispose();
  }
  await grpoStep(trainer, reference, {
    rollouts,
    grpo: GRPO,
    optimizer: bench.optimizer,
    rolloutsPerOptimizerStep: prompts.length * size,
  });
}

/** Rewards are a function of the tokens that costs nothing, so that the step is all engine. */
async function sampleRollouts(sampler: Sampler, { prompts, size, completion }: GrpoBench, seed: number): Promise<DatumInput[]> {
  const params = { n: size, maxTokens: completion, temperature: 1, topP: 1, topK: 0, stopTokens: [], seed };
  const groups = await sampler.sample(prompts, params);
  const rewards = groups.flatMap((group) => group.map(({ tokens }) => tokens.reduce((sum, token) => sum + (token % 2), 0)));
  const { advantages } = groupAdvantages(rewards, size);
  return groups.flatMap((group, index) =>
    group.map((rollout, i) => ({ prompt: prompts[index], completion: rollout, advantage: advantages[index * size + i] })),
  );
}

/** Seconds of each phase of a run's iterations ("base evaluation" is iteration 0), and of all of it with the opening of models. */
export async function benchmarkRun(engine: Engine, config: Config, baseDir: string): Promise<Record<string, number>> {
  const root = mkdtempSync(join(tmpdir(), "rzero-bench-run-"));
  const phases: Record<string, number> = {};
  const on = (event: RunEvent) => {
    if (event.event !== "phase" || event.state !== "done") return;
    const name = event.iteration === 0 ? `base ${event.phase}` : event.phase;
    phases[name] = (phases[name] ?? 0) + (event.seconds ?? 0);
  };
  try {
    const store = createRun({ root, config, name: "bench", version: "bench" });
    const started = performance.now();
    await runSelfPlay({
      config,
      store,
      engine,
      baseDir,
      on: (event) => event.event !== "progress" && on(event),
      signal: new AbortController().signal,
    });
    return { ...phases, all: (performance.now() - started) / 1000 };
  } finally {
    rmSync(root, { recursive: true, force: true });
  }
}
