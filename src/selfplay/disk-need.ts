// How much a phase will write, estimated high from the configuration and the size of the model: asked before the phase starts.

import type { SamplingConfig } from "../config/schema.ts";
import type { Phase } from "../store/layout.ts";
import type { LoopContext } from "./context.ts";
import { directoryBytes } from "./room.ts";

/** Bytes of a journalled token with its logprob, and of a journalled token of text alone. */
const TOKEN_BYTES = 16;
const TEXT_BYTES = 6;

/** Bytes that a phase writes at most, roughly. */
export function phaseBytes(context: LoopContext, phase: Phase): number {
  const { challenger, solver, curriculum, evaluation, run } = context.config;
  const state = stateBytes(context);
  const training = (run.checkpoint.keep + 2) * state;
  const tokens = (count: number, sampling: Pick<SamplingConfig, "maxTokens">, bytes: number) =>
    count * sampling.maxTokens * bytes;
  const { rollouts, maxRolloutBytes } = context.config.archive;
  const archived = (all: number) => (rollouts === "none" ? 0 : rollouts === "all" ? all : Math.min(all, maxRolloutBytes));
  switch (phase) {
    case "challenger": {
      const { questionsPerStep, solverAnswers, sampling, solverSampling } = challenger;
      const posed = tokens(questionsPerStep, sampling, TOKEN_BYTES);
      const answers = tokens(questionsPerStep * solverAnswers, solverSampling, TEXT_BYTES);
      return training + (run.checkpoint.keep + 1) * (posed + answers) + archived(challenger.steps * posed);
    }
    case "solver": {
      const { questionsPerStep, groupSize, sampling } = solver;
      const answers = tokens(questionsPerStep * groupSize, sampling, TOKEN_BYTES);
      return training + (run.checkpoint.keep + 1) * answers + archived(solver.steps * answers);
    }
    case "curriculum": {
      const { poolSize, answers, confirm, sampling, solverSampling } = curriculum;
      const voted = tokens(poolSize * (answers + confirm.answers), solverSampling, TEXT_BYTES);
      return tokens(poolSize, sampling, TEXT_BYTES) * 2 + voted;
    }
    case "guard": {
      const { questions, answers, confirm } = context.config.guard.heldOut;
      return tokens(questions * (2 * answers + confirm.answers), curriculum.solverSampling, TOKEN_BYTES);
    }
    case "evaluation": {
      const questions = context.benches.reduce((sum, bench) => sum + bench.questions.length, 0);
      return 2 * tokens(questions * (evaluation.samples + 1), evaluation, TEXT_BYTES);
    }
  }
}

/** Weights and both moments in f32, from the base model's files, which hold two bytes per parameter or more. */
export function stateBytes({ baseDir }: LoopContext): number {
  return 6 * directoryBytes(baseDir, /\.safetensors$/);
}
