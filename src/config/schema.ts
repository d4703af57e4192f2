// Every key of a configuration: its type, its range, its default and where the default comes from.
// A default without another source is the paper's setting (arXiv 2508.05004) as docs/algorithm.md states it.
// Does NOT know files, overrides or presets (load.ts, presets.ts). The path of a key is the path of its flag.

import { z } from "zod";
import { CHALLENGER_PROMPT, POLICY_SAMPLING, SOLVER_PROMPT, VOTE_SAMPLING } from "./defaults.ts";
import { anchorsSchema, domainSchema, promptVariants } from "./domain.ts";
import { engine, withLoraSeed } from "./engine.ts";
import { guardSchema } from "./guard.ts";
import { band, confirm, count, countOrOff, grpo, notNegative, optimizer, positive, samplingWith, share } from "./parts.ts";
import { challengerReward, solverReward, votes } from "./rewards.ts";
import { samplerSchema } from "./sampler.ts";

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

const challenger = z.strictObject({
  /** false leaves the Challenger as it is (the untrained-Challenger control). */
  train: z.boolean().default(true),
  /** What the Challenger starts an iteration from: itself (paper), the Solver as it stands (Prism, R-Zero's remedies), or the base. */
  start: z.enum(["previous", "solver", "base"]).default("previous"),
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

const curriculum = z.strictObject({
  /** N: questions sampled for the pool (paper: 8,000). */
  poolSize: count.default(8000),
  /** m: Solver answers per question behind the pseudo-label (paper: 10). */
  answers: count.default(10),
  /** Challenger sampling for the pool; absent: as in challenger.sampling. */
  sampling: samplingWith(POLICY_SAMPLING).optional(),
  solverSampling: samplingWith(VOTE_SAMPLING).prefault({}),
  /** Keep a question whose vote share lies in [low, high], ends included (paper: δ = 0.25, so 3 to 7 of 10). */
  band: band.default([0.25, 0.75]),
  filters: z
    .strictObject({
      /** Drop questions that contain "box" or ask for a proof (released). */
      words: z.boolean().default(false),
      /** Drop questions whose majority answer contains "text" or is "None" (released). */
      textLabels: z.boolean().default(false),
      /** Drop questions that fail challenger.reward.quality; those that fail without their votes are not answered. */
      quality: z.boolean().default(false),
    })
    .prefault({}),
  /** `exact`: a question whose text is already in the curriculum is left out. */
  deduplicate: z.enum(["none", "exact"]).default("none"),
  /** Leave out questions that were kept in an earlier iteration. */
  excludeEarlier: z.boolean().default(false),
  /** More votes where the vote share is near an end of the band: there one answer decides. */
  extraVotes: z
    .strictObject({
      /** Further answers per such question; 0 switches it off. */
      answers: countOrOff.default(0),
      /** Largest distance of the vote share from an end of the band. */
      margin: share.default(0.1),
      /** Largest number of such questions, the nearest first; 0: no limit. */
      maxQuestions: countOrOff.default(0),
    })
    .prefault({}),
  /** The base model votes on the questions that would be kept; one stays where the base's majority is the label too. */
  confirm,
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
  /** Largest number of times a question of the curriculum is drawn in a phase, which ends when all are used up; 0: no limit. */
  maxUses: countOrOff.default(0),
  /** Share of each step's questions that come from earlier iterations' curricula, where there are some (R-Diverse, 2602.13103: 0.3). */
  replay: share.default(0),
  /** DAPO's dynamic sampling (2503.14476): groups of equal rewards are left out and as many further questions are answered … */
  dynamicSampling: z
    .strictObject({
      /** … at most so many times in a step; 0 switches it off. */
      refills: countOrOff.max(100).default(0),
    })
    .prefault({}),
  sampling: samplingWith(POLICY_SAMPLING).prefault({}),
  reward: solverReward.prefault({}),
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
  /** Questions of known answer, answered among the curriculum's and never trained on: they estimate the accuracy of pseudo-labels. */
  probes: z
    .strictObject({
      /** JSON Lines of {"question", "answer"}. */
      data: z.string().min(1),
      /** Probes per iteration, drawn anew for each. */
      count: count.default(200),
      /** Which: any of the file's, or for each of `count` questions of the pool one that begins like it and is as long, where there is one. */
      match: z.enum(["any", "alike"]).default("any"),
    })
    .optional(),
  /** The second judge of labels where curriculum.confirm is off: it makes the estimate better and changes no label. */
  confirm,
});

/** What is kept of earlier steps: questions, against which novelty and copies are judged, and rollouts, for people. */
const archive = z.strictObject({
  /** Largest number of questions compared with; of more, a choice by the run's seed. */
  maxQuestions: count.max(100_000).default(4096),
  /** Rollouts of training steps kept for people who look at the run: all, none, or a sample within `maxRolloutBytes`. */
  rollouts: z.enum(["all", "sample", "none"]).default("sample"),
  /** Most bytes of a sample, per training phase; each step has its equal part. */
  maxRolloutBytes: count.default(64 * 1024 ** 2),
});

/** When which phase trains for how long. */
const schedule = z.strictObject({
  /** Steps of the first iteration, where they are other than those of the later ones. */
  warmStart: z.strictObject({ challengerSteps: countOrOff.optional(), solverSteps: countOrOff.optional() }).prefault({}),
  /** The run ends after an iteration whose pool passes one of these; 0 switches a rule off. Nothing here reads ground truth. */
  stop: z
    .strictObject({
      /** Fewer questions kept than this. */
      keptBelow: countOrOff.default(0),
      /** The guard's best iteration is so many iterations old. */
      patience: countOrOff.default(0),
      /** A smaller share of different texts among the pool's well-formed questions than this. */
      distinctBelow: share.default(0),
    })
    .prefault({}),
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
    schedule: schedule.prefault({}),
    /** Challenger and Solver are two models (paper), or one model in both roles. */
    roles: z.enum(["separate", "shared"]).default("separate"),
    engine: engine.prefault({ kind: "local" }),
    /** Servers that answer for frozen roles; absent: the engine does. */
    sampler: samplerSchema.optional(),
    prompts: promptsSchema.prefault({}),
    challenger: challenger.prefault({}),
    votes: votes.prefault({}),
    archive: archive.prefault({}),
    curriculum: curriculum.prefault({}),
    solver: solver.prefault({}),
    evaluation: evaluation.prefault({}),
    audit: audit.prefault({}),
    guard: guardSchema.prefault({}),
    domain: domainSchema.prefault({}),
    anchors: anchorsSchema.optional(),
    run: run.prefault({}),
  })
  .transform((config) => ({
    ...config,
    engine: withLoraSeed(config.engine, config.seed),
    challenger: withOptimizerStep(config.challenger),
    curriculum: { ...config.curriculum, sampling: config.curriculum.sampling ?? { ...config.challenger.sampling } },
    votes: { ...config.votes, equivalence: config.votes.equivalence ?? config.domain.answer.policy },
    solver: withOptimizerStep(config.solver),
  }));

function withOptimizerStep<T extends { questionsPerStep: number; questionsPerOptimizerStep?: number }>(part: T) {
  return { ...part, questionsPerOptimizerStep: part.questionsPerOptimizerStep ?? part.questionsPerStep };
}

/** A complete, checked configuration. */
export type Config = z.output<typeof completed>;
export type PresetName = Config["preset"];
export type EngineConfig = Config["engine"];
export type SamplerConfig = NonNullable<Config["sampler"]>;
export type LocalEngineConfig = Extract<EngineConfig, { kind: "local" }>;
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
  if (config.roles === "shared" && challenger.start !== "previous")
    complain(["challenger", "start"], "expected previous beside roles: shared, where both roles are one model");
  if (challenger.start !== "previous" && !challenger.optimizer.fresh)
    complain(["challenger", "optimizer", "fresh"], `expected true beside challenger.start: ${challenger.start}`);
  for (const [role, limit] of [
    ["challenger", challenger.sampling.maxTokens],
    ["solver", solver.sampling.maxTokens],
  ] as const)
    if (config[role].reward.overlong.buffer > limit)
      complain([role, "reward", "overlong", "buffer"], `expected at most ${role}.sampling.maxTokens (${limit})`);
  const variants = promptVariants(config.domain, config.anchors);
  if (challenger.questionsPerStep % (variants * challenger.groupSize) !== 0)
    complain(
      ["challenger", "questionsPerStep"],
      `expected a multiple of challenger.groupSize (${challenger.groupSize}) for each of the ${variants} different prompts`,
    );
  if (config.sampler?.update === "vllm-lora" && !config.engine.lora?.rank)
    complain(["sampler", "update"], "expected sglang-disk or none without engine.lora, whose adapters are what vllm-lora sends");
  if (evaluation.referenceLines && evaluation.forcedPrefix === undefined)
    complain(["evaluation", "referenceLines"], "expected evaluation.forcedPrefix beside it (for example <think>)");
}

/** The schema: input keys are all optional and unknown ones are errors; the output is complete. */
export const configSchema = completed.superRefine(checkTogether);

/** What a recipe may hold, before defaults. */
export type ConfigInput = z.input<typeof completed>;
