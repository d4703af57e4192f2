// Each iteration's Solver, the base model first, on the questions of each iteration's curriculum: how hard the questions got, and for whom.
// Measured after a run, for people; nothing that trains reads it. Source: R-Zero table 2 (pass rate of Solvers on the Challengers' questions).
// Departure: what is right is the pseudo-label of the question's own iteration, and where a truth is known, that too.

import { existsSync } from "node:fs";
import { equivalent } from "../answer/equivalent.ts";
import type { Config } from "../config/schema.ts";
import type { Completion, Engine, Tokenizer } from "../engine/types.ts";
import { bootstrapMean, mean } from "../evaluation/statistics.ts";
import { renderSolverPrompt } from "../prompts/solver.ts";
import { expectObject } from "../store/jsonl.ts";
import { type MatrixCell, readMatrix, type StoredMatrix, writeMatrix } from "../store/matrix.ts";
import type { RunStore } from "../store/run-store.ts";
import { DataError, InterruptedError } from "../util/errors.ts";
import { rngFrom } from "../util/rng.ts";
import { tally } from "./questions.ts";

export interface MatrixOptions {
  readonly store: RunStore;
  readonly engine: Engine;
  /** Model directory of each Solver by iteration; 0 is the base model. */
  readonly solvers: ReadonlyMap<number, string>;
  /** Questions of each iteration at most, and answers to each. */
  readonly questions: number;
  readonly samples: number;
  readonly signal: AbortSignal;
  /** Called after each cell: cells that are there, of how many. */
  readonly on: (done: number, total: number) => void;
}

interface MatrixQuestion {
  readonly question: string;
  readonly label: string;
  readonly truth: string | undefined;
}

/** Measures the cells that are not there yet, each written when it is done. Errors: DataError, EngineError, InterruptedError. */
export async function measureMatrix(options: MatrixOptions): Promise<StoredMatrix> {
  const { store, engine, solvers, questions, samples, signal, on } = options;
  const known = readMatrix(store.layout.matrix);
  const isSame = known?.questions === questions && known.samples === samples;
  const cells: MatrixCell[] = isSame ? [...known.cells] : [];
  const asked = new Map(curricula(store).map((iteration) => [iteration, chooseQuestions(store, iteration, questions)]));
  if (asked.size === 0) throw new DataError(`run ${store.name}: expected a finished curriculum phase, got none.`);
  const has = (solver: number, of: number) => cells.some((cell) => cell.solver === solver && cell.questionsOf === of);
  for (const [solver, dir] of solvers) {
    const missing = [...asked].filter(([of]) => !has(solver, of));
    if (missing.length === 0) continue;
    const tokenizer = await engine.openTokenizer(dir);
    const snapshot = await engine.openSnapshot(dir, { precision: "frozen" });
    try {
      for (const [of, list] of missing) {
        if (signal.aborted)
          throw new InterruptedError(`matrix of ${store.name}: interrupted; finished cells are saved. The same command goes on.`);
        const prompts = list.map(({ question }) => renderSolverPrompt(question, store.config.prompts.solver, tokenizer));
        const completions = await snapshot.sample(prompts, drawing(store.config, tokenizer, samples, of));
        cells.push({ solver, questionsOf: of, ...judge(store.config, list, completions, of), samples });
        writeMatrix(store.layout.matrix, { questions, samples, cells });
        on(cells.length, solvers.size * asked.size);
      }
    } finally {
      await snapshot.dispose();
    }
  }
  return { questions, samples, cells };
}

/** All Solvers get the same draws on the same questions: differences between them are paired. */
function drawing(config: Config, { stopTokens }: Tokenizer, n: number, of: number) {
  const seed = rngFrom(config.seed, "matrix", of).int(2 ** 48);
  return { ...config.curriculum.solverSampling, n, seed, stopTokens };
}

function curricula(store: RunStore): number[] {
  return store.iterations().filter((iteration) => iteration > 0 && store.phaseDone(iteration, "curriculum"));
}

/** Kept questions, drawn by the run's seed, no human ones. Errors: DataError. */
function chooseQuestions(store: RunStore, iteration: number, count: number): MatrixQuestion[] {
  const { questions, truths } = store.phase(iteration, "curriculum");
  const read = (file: string) => store.readJsonl(file, expectObject);
  const known = new Map(existsSync(truths) ? read(truths).map(({ line, truth }) => [line, String(truth)]) : []);
  const kept = read(questions).flatMap(({ question, pseudoLabel, verdict, anchor }, index): MatrixQuestion[] =>
    verdict === "kept" && anchor !== true
      ? [{ question: String(question), label: String(pseudoLabel), truth: known.get(index + 1) }]
      : [],
  );
  return rngFrom(store.config.seed, "matrix-questions", iteration).shuffle(kept).slice(0, count);
}

function judge(config: Config, questions: readonly MatrixQuestion[], completions: readonly Completion[][], of: number) {
  const shareOf = (answers: readonly (string | undefined)[], truth: string) =>
    mean(
      answers.map((answer) =>
        Number(answer !== undefined && equivalent({ predicted: answer, truth }, config.domain.answer).equivalent),
      ),
    );
  const tallies = completions.map((drawn) => tally({ config }, drawn));
  const agreement = tallies.map(({ answers }, index) => shareOf(answers, questions[index].label));
  const accuracy = tallies.flatMap(({ answers }, index) => {
    const { truth } = questions[index];
    return truth === undefined ? [] : shareOf(answers, truth);
  });
  const random = rngFrom(config.seed, "matrix-interval", of);
  const { mean: share, ci95 } = bootstrapMean(agreement, () => random.next());
  return {
    questions: questions.length,
    agreement: share,
    ci95,
    ...(accuracy.length > 0 ? { accuracy: mean(accuracy) } : {}),
    voteShare: mean(tallies.map(({ vote }) => vote.share)),
  };
}
