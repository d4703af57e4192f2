// Questions and groups of rollouts as the page gets them: found in the index, read back from the lines of the run's files. A line that has
// changed since it was indexed is left out; the next look of the index sees it. Knows no conditions and no order.

import { join } from "node:path";
import type { LineFiles } from "../../store/lines.ts";
import type { JsonObject } from "../../util/json.ts";
import type {
  ArchivedRollout,
  ArchivedToken,
  GroupRef,
  QuestionRow,
  RewardParts,
  RolloutGroup,
  VoteCount,
} from "../api-questions.ts";
import { objectOf } from "../index/ingest.ts";
import { type Place, placeName, placeOf } from "../index/schema.ts";
import type { SqlDatabase } from "../index/sqlite.ts";

/** Different answers of a vote that a row tells. */
const MOST_VOTES = 6;

/** A question's row of the index with what belongs to it. */
interface IndexedQuestion {
  readonly id: number;
  readonly name: string;
  readonly path: string;
  readonly start: number;
  readonly bytes: number;
  readonly label: number | null;
  readonly cluster: number | null;
  readonly trained: number;
  readonly truth: number | null;
}

const QUESTIONS = `SELECT id, runs.name, path, start, bytes, label, cluster, trained, truth
  FROM questions JOIN files USING (file) JOIN runs ON runs.run = questions.run`;

/** The questions of these numbers, in their order, with the JSON of their lines. */
export function readQuestions(
  database: SqlDatabase,
  files: LineFiles,
  ids: readonly number[],
): { readonly row: QuestionRow; readonly json: JsonObject }[] {
  if (ids.length === 0) return [];
  const marks = ids.map(() => "?").join(",");
  const rows = database.prepare(`${QUESTIONS} WHERE id IN (${marks})`).all(...ids) as IndexedQuestion[];
  const byId = new Map(rows.map((row) => [row.id, row]));
  return ids.flatMap((id) => {
    const indexed = byId.get(id);
    const json = indexed && objectOf(files.read(indexed.path, indexed.start, indexed.bytes).toString("utf8"));
    return json ? [{ row: questionRow(files, indexed, json), json }] : [];
  });
}

function questionRow(files: LineFiles, indexed: IndexedQuestion, json: JsonObject): QuestionRow {
  const place = placeOf(indexed.id);
  const answers = answersOf(json);
  const anchor = json.anchor === true;
  const label = textOf(json.pseudoLabel);
  return {
    id: placeName(indexed.name, place),
    run: indexed.name,
    iteration: place.iteration,
    source: place.kind === "pool" ? "pool" : "challenger",
    step: place.kind === "pool" ? undefined : place.step,
    line: place.line,
    question: textOf(json.question) ?? "",
    ownAnswer: textOf(json.ownAnswer),
    label,
    truth: anchor ? label : truthOf(files, indexed),
    labelRight: indexed.label === null ? undefined : indexed.label === 1,
    anchor: anchor || undefined,
    share: answers.length > 0 ? numberOf(json.voteShare) : undefined,
    votes: countVotes(answers),
    answers: answers.length,
    verdict: textOf(json.verdict) ?? "",
    cluster: indexed.cluster ?? undefined,
    reward: rewardOf(json.reward),
    trained: indexed.trained,
  };
}

/** The answers that a question's line tells; null: without a box. */
export function answersOf({ answers }: JsonObject): (string | null)[] {
  return Array.isArray(answers) ? answers.map((answer) => textOf(answer) ?? null) : [];
}

function countVotes(answers: readonly (string | null)[]): VoteCount[] {
  const counts = new Map<string | null, number>();
  for (const answer of answers) counts.set(answer, (counts.get(answer) ?? 0) + 1);
  const votes = Array.from(counts, ([answer, count]) => ({ answer, count }));
  return votes.sort((a, b) => b.count - a.count).slice(0, MOST_VOTES);
}

function truthOf(files: LineFiles, { path, truth }: IndexedQuestion): string | undefined {
  if (truth === null) return undefined;
  return textOf(objectOf(files.readShort(join(path, "..", "truths.jsonl"), truth))?.truth);
}

function rewardOf(value: unknown): RewardParts | undefined {
  if (typeof value !== "object" || value === null) return undefined;
  const { total, uncertainty, repetition, novelty } = value as JsonObject;
  const [t, u, r, n] = [total, uncertainty, repetition, novelty].map((part) => numberOf(part) ?? 0);
  return { total: t, uncertainty: u, repetition: r, novelty: n };
}

/** A group's line of the index. */
interface IndexedGroup {
  readonly id: number;
  readonly samples: number;
  readonly reward: number | null;
  readonly path: string;
  readonly start: number;
  readonly bytes: number;
}

/** Groups of a question's number, by step: those that steps of the Solver trained on; of a Challenger's rollout, itself. */
export function groupsOf(database: SqlDatabase, run: string, id: number): GroupRef[] {
  const place = placeOf(id);
  if (place.kind === "challenger") {
    const own = database.prepare("SELECT 1 AS samples, reward FROM questions WHERE id = ?").get(id) as IndexedGroup | undefined;
    return own ? [groupRef(run, place, own)] : [];
  }
  const sql = "SELECT id, samples, reward FROM groups WHERE question = ? ORDER BY id";
  const rows = database.prepare(sql).all(id) as IndexedGroup[];
  return rows.map((row) => groupRef(run, { ...placeOf(row.id), kind: "solver" }, row));
}

function groupRef(run: string, place: Place, { samples, reward }: Pick<IndexedGroup, "samples" | "reward">): GroupRef {
  const { iteration, step, kind } = place;
  const role = kind === "solver" ? "solver" : "challenger";
  return { id: placeName(run, place), role, iteration, step, samples, reward: reward ?? 0 };
}

/** A group with its rollouts; undefined when it is not in the index. `id`: its number, or its question's for the Challenger. */
export function readGroup(
  database: SqlDatabase,
  files: LineFiles,
  run: string,
  place: Place,
  id: number,
): RolloutGroup | undefined {
  const [table, samples] = place.kind === "solver" ? ["groups", "samples"] : ["questions", "1 AS samples"];
  const sql = `SELECT id, ${samples}, reward, path, start, bytes FROM ${table} JOIN files USING (file) WHERE id = ?`;
  const found = database.prepare(sql).get(id) as IndexedGroup | undefined;
  if (found === undefined) return undefined;
  const json = objectOf(files.read(found.path, found.start, found.bytes).toString("utf8"));
  const rollouts = Array.isArray(json?.samples) ? json.samples : [];
  return { ...groupRef(run, place, found), rollouts: rollouts.map((rollout, index) => archived(rollout as JsonObject, index)) };
}

function archived(rollout: JsonObject, sample: number): ArchivedRollout {
  const text = textOf(rollout.text) ?? "";
  const truncated = rollout.stopReason === "length";
  const [reward, advantage] = [numberOf(rollout.reward) ?? 0, numberOf(rollout.advantage) ?? 0];
  return { sample, text, truncated, reward, advantage, tokens: tokensOf(rollout, text) };
}

function tokensOf({ tokens, cuts, logprobs }: JsonObject, text: string): ArchivedToken[] {
  const [ids, lengths, values] = [tokens, cuts, logprobs].map((list) => (Array.isArray(list) ? list : []));
  let at = 0;
  return ids.map((id, index) => {
    const piece = text.slice(at, at + (numberOf(lengths[index]) ?? 0));
    at += piece.length;
    return { id: numberOf(id) ?? 0, text: piece, logprob: numberOf(values[index]) ?? 0 };
  });
}

function textOf(value: unknown): string | undefined {
  return typeof value === "string" ? value : undefined;
}

function numberOf(value: unknown): number | undefined {
  return typeof value === "number" ? value : undefined;
}
