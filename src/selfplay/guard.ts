// The guard's phase, after an iteration's training and before its evaluation, so that no benchmark's truth can reach it: measures, judges
// by the rules, decides. Source of the measures: the phases' own files, and the Solver's answers to fixed held-out questions.
// A question that any curriculum has kept by now is left out of the score, of the iterations before as well: scores stay comparable.

import { existsSync } from "node:fs";
import { equivalent, type GradingPolicy } from "../answer/equivalent.ts";
import { normaliseQuestion } from "../curriculum/filter.ts";
import type { GuardBest, GuardMeasures, GuardReport } from "../store/events.ts";
import { expectObject, type JsonObject, readJsonl } from "../store/jsonl.ts";
import type { PhaseLayout } from "../store/layout.ts";
import { DataError } from "../util/errors.ts";
import { rngFrom } from "../util/rng.ts";
import { type LoopContext, meanOf } from "./context.ts";
import { readCurriculum } from "./earlier.ts";
import { answerHeldOut, type HeldOutAnswers, type HeldOutRow } from "./guard-answers.ts";
import { brokenRules, chooseBest, decide, type GuardEntry, isHealthy } from "./guard-rules.ts";
import { guardReports, predecessor } from "./guard-state.ts";
import { writeRows } from "./room.ts";

/** Measures an iteration, judges it and decides; the report is the phase's marker. Errors: RunError, InterruptedError, DataError. */
export async function guardPhase(context: LoopContext, iteration: number, files: PhaseLayout): Promise<JsonObject> {
  const { store, config } = context;
  const questions = heldOutQuestions(context);
  const answered = await answerHeldOut(context, iteration, questions);
  const rows = [...(answered.base?.rows ?? []), ...answered.solver.rows, ...answered.confirming];
  await writeRows(context, "held-out answers", files.answers, rows);

  const earlier = guardReports(store, iteration - 1);
  const untouched = untouchedQuestions(context, iteration, questions);
  const own = answered.solver;
  const { policy } = config.domain.answer;
  const confirming = confirmingRows(context, iteration, answered);
  const scoresOf = (of: readonly HeldOutRow[]) => ({
    selfConsistency: meanShare(of, untouched),
    confirmed: confirming.length === 0 ? undefined : confirmedShare(of, confirming, { among: untouched, policy }),
  });
  const measures = definedOnly({
    ...poolMeasures(context, iteration),
    ...scoresOf(own.rows),
    agreement: agreementOf(own.rows, heldOutRows(context, predecessor(store, iteration), answered), { among: untouched, policy }),
    ...own.text,
    klToBase: answered.klToBase,
  });
  const base: GuardMeasures = earlier[0]?.base ?? baseMeasures(answered);
  const history: GuardEntry[] = [
    { iteration: 0, healthy: true, measures: rescored(base, scoresOf(heldOutRows(context, 0, answered))) },
    ...earlier.map((report) => ({
      iteration: report.iteration,
      healthy: isHealthy(report.broken),
      measures: rescored(report.measures, scoresOf(heldOutRows(context, report.iteration, answered))),
    })),
  ];
  const entry = { iteration, measures, healthy: true };
  const broken = brokenRules([...history, entry], config.guard);
  const incumbent = earlier.at(-1)?.best.iteration ?? 0;
  const before: GuardBest = { iteration: incumbent, score: scoreOf(scoresOf(heldOutRows(context, incumbent, answered))) };
  const best = chooseBest(before, { iteration, score: scoreOf(measures), healthy: isHealthy(broken) });
  const rolledBack = earlier.filter(({ decision }) => decision.action === "rollback").length;
  const decision = decide(broken, best, config.guard.maxRollbacks - rolledBack);
  const report: GuardReport = {
    iteration,
    measures,
    heldOut: untouched.size,
    histogram: voteHistogram(context, iteration),
    broken,
    decision,
    best,
    ...(iteration === 1 ? { base } : {}),
  };
  tell(context, report);
  return { ...report };
}

function tell({ emit }: LoopContext, { iteration, broken, ...report }: GuardReport): void {
  const { measures, decision, best } = report;
  emit({ event: "guard", iteration, measures, decision, best });
  for (const rule of broken) emit({ event: "guard-decision", iteration, line: `${rule.measure} ${rule.condition}`, ...rule });
}

/** The fixed questions: given ones, or those of the first iteration's pool that its curriculum left out, by the run's seed. */
function heldOutQuestions({ config, store }: LoopContext): string[] {
  const { data, questions: count } = config.guard.heldOut;
  const found = data === undefined ? leftOut(store.phase(1, "curriculum").questions) : readJsonl(data, parseQuestion);
  const distinct = [...new Map(found.map((question) => [normaliseQuestion(question), question])).values()];
  return rngFrom(config.seed, "guard-held-out").shuffle(distinct).slice(0, count);
}

function leftOut(file: string): string[] {
  const rows = readJsonl(file, (value, where) => expectObject(value, where));
  const kept = new Set(
    rows.filter(({ verdict }) => verdict === "kept").map(({ question }) => normaliseQuestion(String(question))),
  );
  const open = rows.filter(({ verdict }) => verdict !== "malformed" && verdict !== "heldOut");
  return open
    .map(({ question }) => String(question))
    .filter((question) => question !== "" && !kept.has(normaliseQuestion(question)));
}

function parseQuestion(value: unknown, where: string): string {
  const { question } = expectObject(value, where);
  if (typeof question === "string" && question.trim() !== "") return question;
  throw new DataError(`${where}: expected "question" to be a non-empty string, got ${JSON.stringify(question)}.`);
}

/** Held-out questions that no curriculum up to this iteration has kept. */
function untouchedQuestions(context: LoopContext, iteration: number, questions: readonly string[]): Set<string> {
  const untouched = new Map(questions.map((question) => [normaliseQuestion(question), question]));
  for (let at = 1; at <= iteration; at++)
    for (const { question } of readCurriculum(context, at)) untouched.delete(normaliseQuestion(question));
  return new Set(untouched.values());
}

/** An iteration's rows; those of the iteration in progress are in memory. */
function heldOutRows(context: LoopContext, iteration: number, { base, solver }: HeldOutAnswers): readonly HeldOutRow[] {
  const inMemory = iteration === 0 ? base?.rows : iteration === solver.rows[0]?.iteration ? solver.rows : undefined;
  if (inMemory !== undefined) return inMemory;
  const { answers } = context.store.phase(Math.max(1, iteration), "guard");
  return storedRows(answers).filter((row) => row.iteration === iteration && !row.confirms);
}

function storedRows(file: string): HeldOutRow[] {
  return existsSync(file) ? readJsonl(file, (value, where) => expectObject(value, where) as unknown as HeldOutRow) : [];
}

function meanShare(rows: readonly HeldOutRow[], among: ReadonlySet<string>): number | undefined {
  const shares = rows.filter(({ question }) => among.has(question)).map(({ voteShare }) => voteShare);
  return shares.length === 0 ? undefined : meanOf(shares);
}

/** The measure by which iterations are compared. */
const scoreOf = ({ confirmed, selfConsistency }: GuardMeasures) => confirmed ?? selfConsistency;

/** The base model's confirming votes, taken in iteration 1. */
function confirmingRows(
  { store, config }: LoopContext,
  iteration: number,
  { confirming }: HeldOutAnswers,
): readonly HeldOutRow[] {
  const rows = iteration === 1 ? confirming : storedRows(store.phase(1, "guard").answers).filter(({ confirms }) => confirms);
  return rows.filter(({ voteShare }) => voteShare >= config.guard.heldOut.confirm.minShare);
}

/** As meanShare, where a vote counts that the base's majority confirms. */
function confirmedShare(
  rows: readonly HeldOutRow[],
  confirming: readonly HeldOutRow[],
  { among, policy }: { readonly among: ReadonlySet<string>; readonly policy: GradingPolicy },
): number | undefined {
  const isConfirmed = agreementWith(confirming, policy);
  return meanShare(
    rows.map((row) => (isConfirmed(row) ? row : { ...row, voteShare: 0 })),
    among,
  );
}

/** Share of the questions whose majority answer is that of the policy that the iteration started from. */
function agreementOf(
  rows: readonly HeldOutRow[],
  before: readonly HeldOutRow[],
  { among, policy }: { readonly among: ReadonlySet<string>; readonly policy: GradingPolicy },
): number | undefined {
  const agrees = agreementWith(before, policy);
  const same = rows.filter(({ question }) => among.has(question)).map((row) => Number(agrees(row)));
  return same.length === 0 ? undefined : meanOf(same);
}

/** Whether a row's majority answer is that of the row on its question among these. */
function agreementWith(others: readonly HeldOutRow[], policy: GradingPolicy): (row: HeldOutRow) => boolean {
  const answers = new Map(others.map(({ question, majority }) => [question, majority ?? undefined]));
  return ({ question, majority }) =>
    equivalent({ predicted: majority ?? undefined, truth: answers.get(question) }, { policy }).equivalent;
}

function baseMeasures({ base }: HeldOutAnswers): GuardMeasures {
  return base === undefined ? {} : definedOnly({ ...base.text, klToBase: 0 });
}

function rescored(measures: GuardMeasures, scores: GuardMeasures): GuardMeasures {
  return definedOnly({ ...measures, ...scores });
}

function definedOnly(measures: GuardMeasures): GuardMeasures {
  return Object.fromEntries(Object.entries(measures).filter(([, value]) => value !== undefined));
}

/** What the curriculum's marker and pool say; the label accuracy is the audit's estimate, never the oracle's. */
function poolMeasures({ store }: LoopContext, iteration: number): GuardMeasures {
  const done = store.readDone(iteration, "curriculum");
  const number = (value: unknown) => (typeof value === "number" ? value : undefined);
  const part = (value: unknown) => (typeof value === "object" && value !== null ? (value as JsonObject) : {});
  const coverage = part(done.coverage);
  const [clusters, clustered] = [number(coverage.clusters), number(coverage.clustered)];
  const texts = wellFormedRows(store.phase(iteration, "curriculum")).map(({ question }) => normaliseQuestion(String(question)));
  return {
    labelAccuracy: number(part(done.audit).mean),
    distinct: texts.length === 0 ? undefined : new Set(texts).size / texts.length,
    clusters: clusters === undefined || !clustered ? undefined : clusters / clustered,
    voteShare: number(done.voteShare),
    inBand: number(done.inBand),
    wellFormed: texts.length / Math.max(1, number(done.pool) ?? 0),
  };
}

function wellFormedRows({ questions }: PhaseLayout): JsonObject[] {
  return readJsonl(questions, (value, where) => expectObject(value, where)).filter(
    ({ verdict, anchor }) => verdict !== "malformed" && anchor !== true,
  );
}

/** Counts of the pool's vote shares in [0, 0.1), … [0.9, 1]. */
function voteHistogram({ store }: LoopContext, iteration: number): number[] {
  const counts = new Array<number>(10).fill(0);
  for (const { voteShare } of wellFormedRows(store.phase(iteration, "curriculum")))
    counts[Math.min(9, Math.floor(Number(voteShare) * 10 + 1e-9))]++;
  return counts;
}
