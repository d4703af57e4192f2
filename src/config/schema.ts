// Every key of a configuration: its type, its range, its default and where the default comes from.
// A default without another source is the paper's setting (arXiv 2508.05004) as docs/algorithm.md states it.
// Does NOT know files, overrides or presets (load.ts, presets.ts). The path of a key is the path of its flag.

import { z } from "zod";
import { CHALLENGER_PROMPT, LORA_TARGETS, POLICY_SAMPLING, SOLVER_PROMPT, VOTE_SAMPLING } from "./defaults.ts";
import { guardSchema } from "./guard.ts";

const count = z.int().min(1);
const countOrOff = z.int().min(0);
const share = z.number().min(0).max(1);
const positive = z.number().positive();
const notNegative = z.number().min(0);

/** y = x·Wᵀ + (alpha / rank)·(x·Aᵀ)·Bᵀ; only A and B train. Defaults: PEFT's common choice. */
const lora = z.strictObject({
  rank: count.max(1024).default(16),
  alpha: positive.default(32),
  /** Which weights of every layer get an adapter. */
  targets: z
    .array(z.enum(LORA_TARGETS))
    .min(1)
    .default(() => [...LORA_TARGETS]),
  dropout: z
    .number()
    .refine((value) => value === 0, { error: "expected 0: dropout would make rollouts and training compute different models" })
    .default(0),
  /** Seed of A; absent: the run's. B starts at zero. */
  seed: countOrOff.max(0x7fffffff).optional(),
});

/** The local engine: C kernels on this machine's CPU. */
const localEngine = z.strictObject({
  kind: z.literal("local").default("local"),
  /** Worker threads of the kernels; `auto` takes what the machine offers. No result depends on it. */
  threads: z.union([z.literal("auto"), count]).default("auto"),
  /** Sequences decoded at once (continuous batching refills a finished one). No result depends on it. */
  slots: count.default(256),
  /**
   * Most tokens packed into one forward and backward pass; a large model takes fewer, so that its activations stay below 1.5 GiB. No
   * result depends on it beyond rounding order.
   */
  maxTokensPerMicroBatch: count.default(8192),
  /**
   * Format of matrix products. `auto`: bf16 where the CPU has its dot product, else f32, so results may differ between machines;
   * masters, sums and all between two products are f32 in both.
   */
  dtype: z.enum(["auto", "f32", "bf16"]).default("auto"),
  /** Format of frozen roles that answer (voting for rewards and labels, evaluation), never of rollouts or of the reference. */
  frozenDtype: z.enum(["same", "f32", "bf16", "int8"]).default("same"),
  /** Format of AdamW's moments; bf16 halves their memory. */
  optimizerDtype: z.enum(["f32", "bf16"]).default("f32"),
  /**
   * Compute activations again in the backward pass instead of keeping them: less memory, about a third more time, the same bits.
   * `auto`: in passes that would need more than 1.5 GiB otherwise.
   */
  recompute: z.union([z.boolean(), z.literal("auto")]).default("auto"),
  /** Train low-rank adapters over the frozen base instead of whole models; Challenger, Solver and reference then share its memory. */
  lora: lora.optional(),
});

/** Which engine runs the models; one kind today, so that others can join without a change of shape. */
const engine = z.discriminatedUnion("kind", [localEngine]);

const message = z.strictObject({ role: z.enum(["system", "user", "assistant"]), content: z.string() });

/** Prompts are data: another domain is other prompts. */
export const promptsSchema = z.strictObject({
  /** The one prompt that every question of a run is sampled from. */
  challenger: z
    .array(message)
    .min(1)
    .default(() => CHALLENGER_PROMPT.map((item) => ({ ...item }))),
  /** The Solver's messages; at least one holds `{question}`. */
  solver: z
    .array(message)
    .min(1)
    .refine((messages) => messages.some(({ content }) => content.includes("{question}")), {
      error: 'expected a message whose content holds "{question}"',
    })
    .default(() => SOLVER_PROMPT.map((item) => ({ ...item }))),
});

/** How to sample; the meaning of each key is that of SamplingParams in engine/types.ts. */
function samplingWith(defaults: { temperature: number; topP: number; topK: number; maxTokens: number }) {
  return z.strictObject({
    temperature: notNegative.default(defaults.temperature),
    topP: z.number().gt(0).max(1).default(defaults.topP),
    topK: countOrOff.default(defaults.topK),
    maxTokens: count.default(defaults.maxTokens),
  });
}

const grpo = z.strictObject({
  /** The importance ratio is clipped to [1 − clipLow, 1 + clipHigh] (released: 0.2 and 0.3). */
  clipLow: share.default(0.2),
  clipHigh: notNegative.default(0.3),
  /** Dual clip: bound of the ratio for negative advantages (released: 3.0); 0 switches it off. */
  clipDual: notNegative.default(3),
  /** Weight β of the KL penalty (k3) to the reference model (released: 1e-2); 0 needs no reference. */
  klWeight: notNegative.default(0.01),
  /** Reference model: the policy at the start of its phase (released), or the base model. */
  reference: z.enum(["phase-start", "base"]).default("phase-start"),
  /** Mean over all completion tokens of the optimizer step (released), or over each sequence first. */
  lossNormalisation: z.enum(["token-mean", "sequence-mean"]).default("token-mean"),
});

const optimizer = z.strictObject({
  /** AdamW at a constant rate (released: 1e-6, full fine-tuning of 4B to 8B models). */
  learningRate: notNegative.default(1e-6),
  /** PyTorch's betas and epsilon, which released leaves as they are. */
  beta1: z.number().min(0).lt(1).default(0.9),
  beta2: z.number().min(0).lt(1).default(0.999),
  epsilon: positive.default(1e-8),
  /** Decoupled weight decay (released: 1e-2). */
  weightDecay: notNegative.default(0.01),
  /** Largest global gradient norm (released: 1.0); 0 switches clipping off. */
  clipNorm: notNegative.default(1),
  /** Clear the moments at the start of each phase (released: every phase is a new training job). */
  fresh: z.boolean().default(true),
});

const challengerReward = z.strictObject({
  /** `tent`: 1 − 2·|p̂ − 1/2| (paper, eq. 2); `min`: min(p̂, 1 − p̂) (released). */
  uncertainty: z.enum(["tent", "min"]).default("tent"),
  repetition: z
    .strictObject({
      /** λ of the penalty λ·(cluster size)/(batch size); 0 switches it off. */
      weight: notNegative.default(1),
      /** Questions with 1 − BLEU below this are alike (average linkage). */
      threshold: share.default(0.5),
    })
    .prefault({}),
  /** Reward of a malformed question: 0 (paper) or −1 − repetition penalty (released). */
  malformed: z.enum(["zero", "penalty"]).default("zero"),
  /** The total is max(0, …) (paper); released does not clamp. */
  clampAtZero: z.boolean().default(true),
  /** Well-formed: a question block and a boxed own answer (paper), or the block alone (released). */
  wellFormed: z.enum(["question-and-box", "question"]).default("question-and-box"),
  /** Further conditions a question must meet; absent: none. */
  gate: z
    .strictObject({
      /** Longest question in tokens. */
      maxTokens: count.optional(),
    })
    .optional(),
});

const challenger = z.strictObject({
  /** false leaves the Challenger as it is (the untrained-Challenger control). */
  train: z.boolean().default(true),
  /** Rollout steps per phase (paper, appendix: 5). */
  steps: countOrOff.default(5),
  /** Questions sampled per rollout step (paper: batch 128 × G 4). */
  questionsPerStep: count.default(512),
  /** Group size G (paper and released: 4). */
  groupSize: count.default(4),
  /** Questions per optimizer step; absent: all of the rollout step. */
  questionsPerOptimizerStep: count.optional(),
  sampling: samplingWith(POLICY_SAMPLING).prefault({}),
  /** m: Solver answers per question behind the vote share (paper: 10). */
  solverAnswers: count.default(10),
  solverSampling: samplingWith(VOTE_SAMPLING).prefault({}),
  advantage: z
    .strictObject({
      /** Rewards are normalised within each group, or over the whole batch, whose prompts are all the same text. */
      baseline: z.enum(["group", "batch"]).default("group"),
    })
    .prefault({}),
  reward: challengerReward.prefault({}),
  grpo: grpo.prefault({}),
  optimizer: optimizer.prefault({}),
});

const votes = z.strictObject({
  /** An answer without a box is no vote but stays in the denominator (paper), or votes as "None" (released). */
  missing: z.enum(["no-vote", "none-vote"]).default("no-vote"),
  /** A truncated answer counts by its text (paper, released), or is no vote. */
  truncated: z.enum(["no-vote", "as-is"]).default("as-is"),
});

const curriculum = z.strictObject({
  /** N: questions sampled for the pool (paper: 8,000). */
  poolSize: count.default(8000),
  /** m: Solver answers per question behind the pseudo-label (paper: 10). */
  answers: count.default(10),
  /** Challenger sampling for the pool; absent: as in challenger.sampling. */
  sampling: samplingWith(POLICY_SAMPLING).optional(),
  solverSampling: samplingWith(VOTE_SAMPLING).prefault({}),
  /** Keep a question whose vote share lies in [low, high], ends included (paper: δ = 0.25, so 3 to 7 of 10). */
  band: z
    .tuple([share, share])
    .refine(([low, high]) => low <= high, { error: "expected [low, high] with low ≤ high" })
    .default([0.25, 0.75]),
  filters: z
    .strictObject({
      /** Drop questions that contain "box" or ask for a proof (released). */
      words: z.boolean().default(false),
      /** Drop questions whose majority answer contains "text" or is "None" (released). */
      textLabels: z.boolean().default(false),
    })
    .prefault({}),
  /** `exact`: a question whose text is already in the curriculum is left out. */
  deduplicate: z.enum(["none", "exact"]).default("none"),
  /** Control experiment: pseudo-labels are permuted among the kept questions. */
  shuffleLabels: z.boolean().default(false),
});

const solver = z.strictObject({
  /** false leaves the Solver as it is. */
  train: z.boolean().default(true),
  /** Rollout steps per phase (paper, appendix: 15). */
  steps: countOrOff.default(15),
  /** Questions per rollout step (paper: 128), each answered groupSize times. */
  questionsPerStep: count.default(128),
  /** Group size G (paper and released: 5). */
  groupSize: count.default(5),
  /** Questions per optimizer step; absent: all of the rollout step. */
  questionsPerOptimizerStep: count.optional(),
  sampling: samplingWith(POLICY_SAMPLING).prefault({}),
  reward: z
    .strictObject({
      /** Weight of "equivalent to the pseudo-label" (paper: 1; released: 0.9). */
      correct: notNegative.default(1),
      /** Weight of the format <think>…</think>…\boxed{} (paper: 0; released: 0.1). */
      format: notNegative.default(0),
    })
    .prefault({}),
  grpo: grpo.prefault({}),
  optimizer: optimizer.prefault({}),
});

const evaluation = z.strictObject({
  /** Benchmarks with ground truth; `data` is a JSON Lines file of {"question", "answer"}. Never used for training. */
  benches: z.array(z.strictObject({ name: z.string().min(1), data: z.string().min(1) })).default([]),
  /** k of mean@k: sampled answers per question. */
  samples: count.default(8),
  temperature: notNegative.default(1),
  topP: z.number().gt(0).max(1).default(1),
  maxTokens: count.default(4096),
  /** Greedy pass@1 as well (paper's protocol). */
  greedy: z.boolean().default(true),
  /** Evaluate the base forced to begin with `forcedPrefix`: the elicitation line, what better habits alone would give. */
  referenceLines: z.boolean().default(false),
  forcedPrefix: z.string().min(1).optional(),
});

const audit = z.strictObject({
  /** A solver of known truth, only to report the accuracy of pseudo-labels; it never touches training. */
  oracle: z.enum(["none", "tiny-world"]).default("none"),
});

/** How a run is kept from being lost; no result depends on any of it, but for `numbers`, which may hold updates back. */
const run = z.strictObject({
  checkpoint: z
    .strictObject({
      /** Optimizer steps between two checkpoints of the policy in training, written while training goes on. */
      everySteps: count.default(1),
      /** And seconds, when so many steps take longer. */
      everySeconds: positive.default(300),
      /** Checkpoints of a phase, and final states of a role, that are kept; the best iteration's are kept beside them. */
      keep: count.default(2),
    })
    .prefault({}),
  numbers: z
    .strictObject({
      /** Updates skipped in a row, for a NaN or Inf or a spike, that send the run back to the checkpoint before them. */
      skipsInARow: count.default(3),
      /** Skip an update whose gradient norm is so many standard deviations above the mean of the phase's last ones; 0 switches it off. */
      spikeZScore: notNegative.default(0),
    })
    .prefault({}),
  disk: z
    .strictObject({
      /** Seconds to wait for room on a full disk before the run stops, resumable; 0: as long as it takes. */
      waitSeconds: notNegative.default(0),
    })
    .prefault({}),
});

/** Names of the presets that a recipe may start from. */
export const PRESET_NAMES = ["paper", "released", "improved"] as const;

const completed = z
  .strictObject({
    /** Bundle of options below the recipe's own keys; see presets.ts. */
    preset: z.enum(PRESET_NAMES).default("paper"),
    /** Name of the recipe, from which a run's default name is made. */
    name: z.string().min(1).optional(),
    /** Base model: a Hugging Face model directory, or `tiny-base` for the embedded one. */
    base: z.string().min(1).default("tiny-base"),
    /** Seed of every random draw; the same seed gives the same run, byte for byte. */
    seed: countOrOff.max(0x7fffffff).default(1),
    /** Co-evolution rounds (paper: 3). */
    iterations: count.default(3),
    engine: engine.prefault({ kind: "local" }),
    prompts: promptsSchema.prefault({}),
    challenger: challenger.prefault({}),
    votes: votes.prefault({}),
    curriculum: curriculum.prefault({}),
    solver: solver.prefault({}),
    evaluation: evaluation.prefault({}),
    audit: audit.prefault({}),
    guard: guardSchema.prefault({}),
    run: run.prefault({}),
  })
  .transform((config) => ({
    ...config,
    engine: withLoraSeed(config.engine, config.seed),
    challenger: withOptimizerStep(config.challenger),
    curriculum: { ...config.curriculum, sampling: config.curriculum.sampling ?? { ...config.challenger.sampling } },
    solver: withOptimizerStep(config.solver),
  }));

/** The seed of fresh adapters is the run's unless it is given. */
function withLoraSeed(engine: z.output<typeof localEngine>, seed: number) {
  return engine.lora === undefined ? engine : { ...engine, lora: { ...engine.lora, seed: engine.lora.seed ?? seed } };
}

function withOptimizerStep<T extends { questionsPerStep: number; questionsPerOptimizerStep?: number }>(part: T) {
  return { ...part, questionsPerOptimizerStep: part.questionsPerOptimizerStep ?? part.questionsPerStep };
}

/** A complete, checked configuration. */
export type Config = z.output<typeof completed>;
export type PresetName = Config["preset"];
export type EngineConfig = Config["engine"];
export type PromptsConfig = Config["prompts"];
export type ChallengerConfig = Config["challenger"];
export type ChallengerRewardConfig = ChallengerConfig["reward"];
export type VotesConfig = Config["votes"];
export type CurriculumConfig = Config["curriculum"];
export type SolverConfig = Config["solver"];
export type SolverRewardConfig = SolverConfig["reward"];
export type EvaluationConfig = Config["evaluation"];
export type SafetyConfig = Config["run"];
export type AuditConfig = Config["audit"];
export type SamplingConfig = z.output<ReturnType<typeof samplingWith>>;
export type GrpoConfig = z.output<typeof grpo>;
export type OptimizerConfig = z.output<typeof optimizer>;

/** Conditions between keys. */
function checkTogether(config: Config, context: z.RefinementCtx): void {
  const complain = (path: string[], message: string) => context.addIssue({ code: "custom", path, message });
  const { challenger, solver, evaluation } = config;
  if (challenger.questionsPerStep % challenger.groupSize !== 0)
    complain(["challenger", "questionsPerStep"], `expected a multiple of challenger.groupSize (${challenger.groupSize})`);
  if (challenger.questionsPerOptimizerStep % challenger.groupSize !== 0)
    complain(
      ["challenger", "questionsPerOptimizerStep"],
      `expected a multiple of challenger.groupSize (${challenger.groupSize})`,
    );
  for (const role of ["challenger", "solver"] as const)
    if (config[role].questionsPerStep % config[role].questionsPerOptimizerStep !== 0)
      complain(
        [role, "questionsPerOptimizerStep"],
        `expected a divisor of ${role}.questionsPerStep (${config[role].questionsPerStep})`,
      );
  if (solver.reward.correct + solver.reward.format === 0)
    complain(["solver", "reward", "correct"], "expected a reward with a weight above 0");
  if (evaluation.referenceLines && evaluation.forcedPrefix === undefined)
    complain(["evaluation", "referenceLines"], "expected evaluation.forcedPrefix beside it (for example <think>)");
}

/** The schema: input keys are all optional and unknown ones are errors; the output is complete. */
export const configSchema = completed.superRefine(checkTogether);

/** What a recipe may hold, before defaults. */
export type ConfigInput = z.input<typeof completed>;
