// `rzero inspect --matrix`: measures the matrix of a run's Solvers and questions where it is not measured, and prints it.

import { measureMatrix } from "../selfplay/matrix.ts";
import type { RunStore } from "../store/run-store.ts";
import { formatPercent, formatTable } from "../util/format.ts";
import { engineConfig, withEngine } from "./engine.ts";
import { resolveModel } from "./model-ref.ts";
import { print, printJson, say } from "./output.ts";
import { onInterrupt } from "./signals.ts";

interface MatrixCommandOptions {
  readonly runs?: string;
  readonly questions: number;
  readonly samples: number;
  readonly json?: boolean;
}

/** Errors: those of measureMatrix; ConfigError for models that are gone. */
export async function showMatrix(run: RunStore, { runs, questions, samples, json }: MatrixCommandOptions): Promise<void> {
  const { config } = run;
  const trained = run.iterations().filter((iteration) => iteration > 0 && run.phaseDone(iteration, "solver"));
  const models = trained.map((iteration) => [iteration, resolveModel(`${run.name}:${iteration}:solver`, runs).dir] as const);
  const solvers = new Map([[0, resolveModel(config.base, runs).dir], ...models]);
  const signal = onInterrupt("stopping after this cell; what is finished is saved");
  // What a remote engine has trained lies in the run as a model like any other.
  const matrix = await withEngine(config.engine.kind === "local" ? config.engine : engineConfig({}), (engine) =>
    measureMatrix({
      store: run,
      engine,
      solvers,
      questions,
      samples,
      signal,
      on: (done, total) => say(`${done} of ${total} cells`),
    }),
  );
  if (json) {
    printJson({ run: run.name, ...matrix });
    return;
  }
  const of = [...new Set(matrix.cells.map((cell) => cell.questionsOf))].sort((a, b) => a - b);
  const rows = [...solvers.keys()].map((solver) => {
    const cells = of.map((iteration) => matrix.cells.find((cell) => cell.solver === solver && cell.questionsOf === iteration));
    const shown = cells.map((cell) => `${formatPercent(cell?.agreement)} / ${formatPercent(cell?.accuracy)}`);
    return [solver === 0 ? "base" : `Solver ${solver}`, ...shown];
  });
  print(
    `Answers equal to the pseudo-label / to the truth, in %; ${questions} questions of each iteration at most, ${samples} answers each\n`,
  );
  print(formatTable(["", ...of.map((iteration) => `questions ${iteration}`)], rows));
}
