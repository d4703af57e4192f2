// Phase 2: the Challenger is frozen; its questions get pseudo-labels by the frozen Solver's majority vote, and those whose vote share
// lies in the band become the curriculum. Source: R-Zero section 3.3. Ground truth is read here for reporting only.
// Departure 1: a question of an evaluation benchmark never enters the curriculum (its text is compared, never its answer).

import { equivalent } from "../answer/equivalent.ts";
import { vote } from "../answer/vote.ts";
import { type CurriculumVerdict, filterCurriculum, inBand, normaliseQuestion } from "../curriculum/filter.ts";
import { type LabelledQuestion, labelQuestion } from "../curriculum/question.ts";
import type { CurriculumMetrics } from "../store/events.ts";
import { expectObject, type JsonObject } from "../store/jsonl.ts";
import { RunError } from "../util/errors.ts";
import { rngFrom } from "../util/rng.ts";
import { meanLevel } from "./challenger-phase.ts";
import { checkInterrupted, type LoopContext, meanOf, seedFor, withFrozen, withSnapshot } from "./context.ts";
import { type AnsweredQuestion, answerQuestions, expectQuestions, type PosedRollout, poseQuestions } from "./questions.ts";

/** One line of the phase's questions.jsonl. */
export interface PoolRow {
  readonly question: string;
  readonly ownAnswer?: string;
  readonly pseudoLabel: string | undefined;
  readonly voteShare: number;
  readonly answers: readonly (string | null)[];
  /** `kept`, or why it was rejected. */
  readonly verdict: string;
}

/** What the Solver phase trains on. */
export interface CurriculumQuestion {
  readonly question: string;
  readonly pseudoLabel: string;
  /** Its line in questions.jsonl, from 1. */
  readonly line: number;
}

/** Builds the curriculum. Errors: RunError when no question is left, saying what to change; InterruptedError. */
export async function curriculumPhase(
  context: LoopContext,
  iteration: number,
): Promise<{ rows: PoolRow[]; metrics: CurriculumMetrics }> {
  const { config } = context;
  const seed = (activity: string) => seedFor(config, "curriculum", iteration, activity);
  const call = { iteration, phase: "curriculum" } as const;
  const { poolSize, sampling, answers, solverSampling } = config.curriculum;

  checkInterrupted(context);
  const { prompt, rollouts } = await withSnapshot(context.challenger, (challenger) =>
    poseQuestions(context, challenger, { count: poolSize, sampling, seed: seed("pose"), call: { ...call, content: "tokens" } }),
  );
  expectQuestions(context, prompt, rollouts);
  checkInterrupted(context);
  const posed = rollouts.filter(({ wellFormed }) => wellFormed).map(({ question }) => question ?? "");
  const answered = await withFrozen(context.solver, (solver) =>
    answerQuestions(context, solver, posed, { answers, sampling: solverSampling, seed: seed("answer"), call }),
  );
  const pool = rollouts.map((rollout) => label(rollout, answered));
  const { verdicts, counts } = filterCurriculum(pool, { ...config.curriculum, heldOut: heldOutQuestions(context) });
  const rows = pool.map((labelled, index) => toRow(labelled, verdicts[index], answered.get(labelled.question.text)));
  const metrics = describe(context, rows, counts, answered);
  if (metrics.kept === 0) throw emptyCurriculum(context, counts);
  return { rows: config.curriculum.shuffleLabels ? shuffleLabels(context, iteration, rows) : rows, metrics };
}

/** The curriculum of a finished phase, from its file. Errors: DataError. */
export function readCurriculum({ store }: LoopContext, iteration: number): CurriculumQuestion[] {
  return store
    .readJsonl<JsonObject>(store.phase(iteration, "curriculum").questions, (value, where) => expectObject(value, where))
    .map((row, index): JsonObject & { line: number } => ({ ...row, line: index + 1 }))
    .filter(({ verdict }) => verdict === "kept")
    .map(({ question, pseudoLabel, line }) => ({ question: String(question), pseudoLabel: String(pseudoLabel), line }));
}

function label(
  { question, ownAnswer, wellFormed }: PosedRollout,
  answered: ReadonlyMap<string, AnsweredQuestion>,
): LabelledQuestion {
  const asked = { text: question ?? "", ownAnswer, wellFormed };
  return labelQuestion(asked, (wellFormed && answered.get(asked.text)?.vote) || NO_VOTE);
}

const NO_VOTE = vote([], { missing: "no-vote" });

/** Texts of all benchmark questions, as the filter compares them. */
function heldOutQuestions({ benches }: LoopContext): Set<string> {
  return new Set(benches.flatMap(({ questions }) => questions.map(({ question }) => normaliseQuestion(question))));
}

function toRow(
  { question, pseudoLabel, voteShare }: LabelledQuestion,
  verdict: CurriculumVerdict,
  answered: AnsweredQuestion | undefined,
): PoolRow {
  return {
    question: question.text,
    ownAnswer: question.ownAnswer,
    pseudoLabel,
    voteShare,
    answers: answered?.answers.map((answer) => answer ?? null) ?? [],
    verdict,
  };
}

/** Control experiment: the kept questions exchange their pseudo-labels at random. */
function shuffleLabels({ config }: LoopContext, iteration: number, rows: readonly PoolRow[]): PoolRow[] {
  const labels = rows.filter(({ verdict }) => verdict === "kept").map(({ pseudoLabel }) => pseudoLabel);
  const shuffled = rngFrom(config.seed, "shuffle-labels", iteration).shuffle(labels);
  let next = 0;
  return rows.map((row) => (row.verdict === "kept" ? { ...row, pseudoLabel: shuffled[next++] } : row));
}

/** Measures of the pool before labels are shuffled, if they are. Truth is read here, after every choice was made. */
function describe(
  context: LoopContext,
  rows: readonly PoolRow[],
  rejected: Readonly<Record<CurriculumVerdict, number>>,
  answered: ReadonlyMap<string, AnsweredQuestion>,
): CurriculumMetrics {
  const wellFormed = rows.filter(({ verdict }) => verdict !== "malformed");
  const kept = rows.filter(({ verdict }) => verdict === "kept");
  const { kept: _, ...reasons } = rejected;
  const inside = wellFormed.filter(({ voteShare }) => inBand(voteShare, context.config.curriculum.band));
  return {
    pool: rows.length,
    wellFormed: wellFormed.length,
    kept: kept.length,
    rejected: reasons,
    voteShare: meanOf(wellFormed.map(({ voteShare }) => voteShare)),
    keptVoteShare: meanOf(kept.map(({ voteShare }) => voteShare)),
    inBand: inside.length / rows.length,
    level: meanLevel(
      context,
      wellFormed.map(({ question }) => question),
    ),
    keptLevel: meanLevel(
      context,
      kept.map(({ question }) => question),
    ),
    truncatedAnswers: meanOf([...answered.values()].map(({ truncated, answers }) => truncated / answers.length)),
    ...auditLabels(context, kept),
  };
}

function auditLabels({ oracle }: LoopContext, kept: readonly PoolRow[]) {
  if (!oracle) return {};
  const judged = kept.flatMap(({ question, pseudoLabel }) => {
    const truth = oracle(question)?.answer;
    return truth === undefined ? [] : equivalent({ predicted: pseudoLabel, truth }).equivalent;
  });
  return { labelAccuracy: judged.length > 0 ? meanOf(judged.map(Number)) : undefined, answerable: judged.length / kept.length };
}

function emptyCurriculum({ config }: LoopContext, counts: Readonly<Record<CurriculumVerdict, number>>): RunError {
  const reasons = Object.entries(counts).filter(([, count]) => count > 0);
  return new RunError(
    `curriculum: expected questions with a vote share in [${config.curriculum.band.join(", ")}], got none of ${config.curriculum.poolSize} ` +
      `(${reasons.map(([reason, count]) => `${reason} ${count}`).join(", ")}). Widen curriculum.band, or raise curriculum.poolSize.`,
  );
}
