// Small runs on the disk for the dashboard's tests: the synthetic store of the benchmark, and what a test adds to it.

import { readFileSync } from "node:fs";
import { join } from "node:path";
import { writeRun } from "../../bench/dashboard-store.mjs";
import { loadConfig } from "../../src/config/load.ts";
import type { QuestionQuery } from "../../src/dashboard/api-questions.ts";
import { createRun, runExists } from "../../src/store/runs.ts";

export const ITERATIONS = 4;

/** Writes a run of so many iterations with 100 questions each, 8 steps per phase; returns its directory. */
export function writeSmallRun(root: string, name: string, seed: number): string {
  const like = join(root, "like");
  if (!runExists(root, "like")) createRun({ root, config: loadConfig({ recipe: "tiny" }), name: "like", version: "test" });
  writeRun(root, name, like, seed, { scale: 0.01, iterations: ITERATIONS, steps: 8 });
  return join(root, name);
}

/** A question as its file has it, with its name. */
export interface TrueQuestion {
  readonly id: string;
  readonly iteration: number;
  readonly question: string;
  readonly share: number;
  readonly verdict: string;
  readonly right: boolean;
}

/** The pool questions of a run from its files. */
export function trueQuestions(dir: string, name: string): TrueQuestion[] {
  const rows = (iteration: number, file: string): Record<string, unknown>[] =>
    readFileSync(join(dir, `iteration-${String(iteration).padStart(2, "0")}`, "curriculum", file), "utf8")
      .split("\n")
      .filter((line) => line !== "")
      .map((line) => JSON.parse(line));
  return Array.from({ length: ITERATIONS }, (_, index) => index + 1).flatMap((iteration) => {
    const truths = new Map(rows(iteration, "truths.jsonl").map(({ line, right }) => [line, right]));
    return rows(iteration, "questions.jsonl").map(({ question, voteShare, verdict }, index) => ({
      id: `${name}/${iteration}/pool/0/${index + 1}`,
      iteration,
      question: String(question),
      share: Number(voteShare),
      verdict: String(verdict),
      right: truths.get(index + 1) === true,
    }));
  });
}

/** What a query must give: the plain way. */
export function expected(all: readonly TrueQuestion[], query: QuestionQuery): string[] {
  const words = (text: string) => text.toLowerCase().match(/[\p{L}\p{N}]+/gu) ?? [];
  const wanted = words(query.search ?? "");
  const found = all.filter(
    ({ iteration, share, verdict, right, question }) =>
      (!query.iteration?.length || query.iteration.includes(iteration)) &&
      (!query.verdict?.length || query.verdict.includes(verdict)) &&
      (query.label === undefined || (query.label === "right") === right) &&
      share >= (query.minShare ?? 0) &&
      share <= (query.maxShare ?? 1) &&
      wanted.every((word, index) =>
        words(question).some((own) => (index === wanted.length - 1 ? own.startsWith(word) : own === word)),
      ),
  );
  const key = ({ share, question }: TrueQuestion) =>
    query.sort === "share" ? share : query.sort === "length" ? question.length : 0;
  const sign = query.descending ? -1 : 1;
  const order = found.map((question, index) => ({ question, index }));
  const isOrder = (query.sort ?? "order") === "order";
  order.sort((a, b) => (isOrder ? sign * (a.index - b.index) : sign * (key(a.question) - key(b.question)) || a.index - b.index));
  return order.map(({ question }) => question.id);
}
