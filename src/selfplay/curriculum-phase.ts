// Phase 2: the Challenger is frozen; its questions get pseudo-labels by the frozen Solver's majority vote, and those whose vote share
// lies in the band become the curriculum. Source: R-Zero section 3.3. Ground truth is read here for reporting only.
// Departure 1: a question of an evaluation benchmark, or a probe, never enters the curriculum (its text is compared, never its answer).

import { equivalent } from "../answer/equivalent.ts";
import { vote } from "../answer/vote.ts";
import { measureCoverage } from "../curriculum/coverage.ts";
import { type CurriculumVerdict, filterCurriculum, inBand, normaliseQuestion } from "../curriculum/filter.ts";
import { type LabelledQuestion, labelQuestion } from "../curriculum/question.ts";
import type { CurriculumMetrics } from "../store/events.ts";
import { RunError } from "../util/errors.ts";
import { rngFrom } from "../util/rng.ts";
import { faultOf, meanLevel } from "./challenger-phase.ts";
import { confirmLabels, dropsUnconfirmed } from "./confirm.ts";
import { checkInterrupted, type LoopContext, meanOf, seedFor, withFrozen, withSnapshot } from "./context.ts";
import { openJudges, type QuestionJudges, readEarlierCurricula, readEarlierTexts } from "./earlier.ts";
import { drawExtraVotes } from "./extra-votes.ts";
import { auditByProbes, chooseProbes, type Probe, type ProbesVoted } from "./probes.ts";
import { type AnsweredQuestion, answerQuestions, expectQuestions, type PosedRollout, poseQuestions } from "./questions.ts";
import { verifyVotes } from "./verify-votes.ts";

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
  const judges = config.curriculum.filters.quality ? openJudges(context, iteration) : undefined;
  const faults = rollouts.map((rollout) => judges && faultOf(rollout, judges));
  const posed = rollouts.filter(({ wellFormed }, i) => wellFormed && !faults[i]).map(({ question }) => question ?? "");
  const probes = chooseProbes(context, iteration, posed, judges?.gate);
  const asked = { posed, probes: probes.map(({ question }) => question) };
  const options = { answers, sampling: solverSampling, seed: seed("answer"), call };
  const { majority, extra } = await withFrozen(context.solver, async (solver) => {
    const found = await answerQuestions(context, solver, [...asked.posed, ...asked.probes], options);
    return { majority: found, extra: await drawExtraVotes(context, solver, found, asked, options) };
  });
  const answered = await verifyVotes(context, majority, call);
  const pool = rollouts.map((rollout, index) => label(context, { ...rollout, fault: faults[index] }, answered, judges));
  const limits = { ...config.curriculum, ...excludedTexts(context, iteration) };
  const open = filterCurriculum(pool, limits);
  const candidates = open.kept;
  const labels = labelsOf(candidates, answered, probes, config.curriculum.band);
  const confirmed = await confirmLabels(context, iteration, labels);
  const { verdicts, counts } = dropsUnconfirmed(config) ? filterCurriculum(pool, { ...limits, confirmed }) : open;
  const rows = pool.map((labelled, index) => toRow(labelled, verdicts[index], answered.get(labelled.question.text)));
  const isPosed = new Set(posed);
  const voted = new Map([...answered].filter(([question]) => isPosed.has(question)));
  const metrics = { ...describe(context, iteration, rows, counts, voted), ...(extra > 0 ? { extraVotes: extra } : {}) };
  if (metrics.kept === 0) throw emptyCurriculum(context, counts);
  const audited = { ...metrics, ...audit(context, iteration, rows, { answered, probes, candidates, confirmed }) };
  return { rows: config.curriculum.shuffleLabels ? shuffleLabels(context, iteration, rows) : rows, metrics: audited };
}

/** Labels that may need confirmation, by question: of what would be kept, and of probes in the band, which are there to be treated alike. */
function labelsOf(
  candidates: readonly LabelledQuestion[],
  answered: ReadonlyMap<string, AnsweredQuestion>,
  probes: readonly Probe[],
  band: readonly [number, number],
): Map<string, string> {
  const labels = new Map(candidates.map(({ question, pseudoLabel }) => [question.text, pseudoLabel ?? ""]));
  for (const { question } of probes) {
    const { majority, share } = answered.get(question)?.vote ?? NO_VOTE;
    if (majority !== undefined && inBand(share, band)) labels.set(question, majority);
  }
  return labels;
}

function label(
  { config }: LoopContext,
  { question, ownAnswer, wellFormed, fault }: PosedRollout & { readonly fault: string | undefined },
  answered: ReadonlyMap<string, AnsweredQuestion>,
  judges: QuestionJudges | undefined,
): LabelledQuestion {
  const text = question ?? "";
  const outcome = (wellFormed && answered.get(text)?.vote) || NO_VOTE;
  const disagrees = wellFormed && judges?.gate.disagreement(ownAnswer, outcome.majority, config.votes.equivalence);
  return labelQuestion({ text, ownAnswer, wellFormed, fault: fault ?? (disagrees || undefined) }, outcome);
}

const NO_VOTE = vote([], { missing: "no-vote" });

/** Texts that may not enter the curriculum: all benchmark questions and probes, and where asked what was kept before. */
function excludedTexts(context: LoopContext, iteration: number) {
  const { benches, probes, config } = context;
  const known = [...benches.flatMap(({ questions }) => questions), ...probes].map(({ question }) => normaliseQuestion(question));
  const kept = config.curriculum.excludeEarlier ? readEarlierCurricula(context, iteration) : [];
  return { heldOut: new Set(known), earlier: new Set(kept.map(({ question }) => normaliseQuestion(question))) };
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
  iteration: number,
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
    coverage: measureCoverage(
      wellFormed.map(({ question }) => question),
      readEarlierTexts(context, iteration),
    ),
  };
}

/** What truth says of the labels, where a world has it, and what the probes let one expect of them. */
function audit(context: LoopContext, iteration: number, rows: readonly PoolRow[], voted: ProbesVoted) {
  const kept = rows.filter(({ verdict }) => verdict === "kept");
  const estimate = auditByProbes(context, iteration, voted, kept);
  return { ...auditLabels(context, kept), ...(estimate ? { audit: estimate } : {}) };
}

/** One line of the phase's truths.jsonl, for reports alone. */
export interface TruthRow {
  /** Line of the question, from 1. */
  readonly line: number;
  readonly truth: string;
  /** Whether the pseudo-label is equivalent to it; absent where nobody voted. */
  readonly right?: boolean;
}

/** What the oracle knows of rows that are final; undefined without an oracle. */
export function truthsOf({ oracle, config }: LoopContext, rows: readonly PoolRow[]): TruthRow[] | undefined {
  return (
    oracle &&
    rows.flatMap(({ question, pseudoLabel }, index) => {
      const truth = oracle(question)?.answer;
      if (truth === undefined) return [];
      const right = pseudoLabel === undefined ? {} : { right: isRight(config, pseudoLabel, truth) };
      return { line: index + 1, truth, ...right };
    })
  );
}

function isRight({ domain }: LoopContext["config"], predicted: string | undefined, truth: string): boolean {
  return equivalent({ predicted, truth }, domain.answer).equivalent;
}

function auditLabels({ oracle, config }: LoopContext, kept: readonly PoolRow[]) {
  if (!oracle) return {};
  const judged = kept.flatMap(({ question, pseudoLabel }) => {
    const truth = oracle(question)?.answer;
    return truth === undefined ? [] : isRight(config, pseudoLabel, truth);
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
