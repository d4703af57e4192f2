// The query index against the files that it is made from: the same answers as a plain walk over the lines, the same content however it came
// about, and a new one in the place of a damaged one.

import {
  appendFileSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  symlinkSync,
  truncateSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { QuestionDetail, QuestionQuery, QuestionRow, RolloutGroup } from "../../src/dashboard/api-questions.ts";
import { IndexBuilder, openIndex } from "../../src/dashboard/index/builder.ts";
import { updateMap } from "../../src/dashboard/index/map.ts";
import { idOf, parsePlace, placeName, placeOf } from "../../src/dashboard/index/schema.ts";
import type { SqlDatabase } from "../../src/dashboard/index/sqlite.ts";
import { IndexReader } from "../../src/dashboard/query/answer.ts";
import { expected, ITERATIONS, type TrueQuestion, trueQuestions, writeSmallRun } from "./fixture.ts";

const scratch = mkdtempSync(join(tmpdir(), "rzero-index-"));
const databases: SqlDatabase[] = [];
afterAll(() => {
  for (const database of databases) database.close();
  rmSync(scratch, { recursive: true, force: true });
});

const root = join(scratch, "runs");
let all: TrueQuestion[];
let database: SqlDatabase;

function open(name: string): SqlDatabase {
  const opened = openIndex(join(scratch, name));
  databases.push(opened);
  return opened;
}

/** Everything that the index holds, without the numbers that it gives to runs and files. */
function dump(of: SqlDatabase): unknown {
  const rows = (sql: string) => of.prepare(sql).all();
  return {
    questions:
      rows(`SELECT runs.name, questions.iteration, source, verdicts.name AS verdict, share, reward, length, answers, label, trained,
      start, bytes, truth, path FROM questions JOIN files USING (file) JOIN runs ON runs.run = questions.run JOIN verdicts USING (verdict)
      ORDER BY runs.name, id`),
    groups: rows("SELECT samples, reward, start, bytes, path FROM groups JOIN files USING (file) ORDER BY path, start"),
    files: rows("SELECT path, kind, read, lines FROM files ORDER BY path"),
    words: rows("SELECT count(*) AS n FROM words WHERE words MATCH 'sum OR has OR compute'"),
  };
}

beforeAll(() => {
  all = trueQuestions(writeSmallRun(root, "one", 1), "one");
  writeSmallRun(root, "two", 2);
  database = open("one.sqlite");
  new IndexBuilder(root, database).update();
});

describe("names of rows", () => {
  it.each([
    { run: 0, iteration: 0, kind: "pool", step: 0, line: 1 },
    { run: 1023, iteration: 1023, kind: "challenger", step: 65535, line: 65535 },
    { run: 7, iteration: 12, kind: "pool", step: 0, line: 4_000_000_000 },
  ] as const)("%o has a number of its own", (place) => {
    const id = idOf(place);
    expect(Number.isSafeInteger(id)).toBe(true);
    expect(placeOf(id ?? -1)).toEqual(place);
    const { run: _, ...rest } = place;
    expect(parsePlace(placeName("a.b-1", place))).toEqual({ run: "a.b-1", ...rest });
  });

  it.each(["", "one/1/pool/0", "../x/1/pool/0/1", "one/1/pools/0/1", "one/1/pool/0/1/", "one/-1/pool/0/1"])(
    "%j is none",
    (name) => {
      expect(parsePlace(name)).toBeUndefined();
    },
  );

  it("has no number for what is beyond its range", () => {
    expect(idOf({ run: 0, iteration: 1024, kind: "pool", step: 0, line: 1 })).toBeUndefined();
    expect(idOf({ run: 0, iteration: 1, kind: "solver", step: 1, line: 65536 })).toBeUndefined();
  });
});

describe("answers are those of the files", () => {
  const queries: QuestionQuery[] = [
    {},
    { sort: "share", descending: true },
    { sort: "share" },
    { sort: "length", verdict: ["kept"] },
    { sort: "length", descending: true, iteration: [2, 4] },
    { minShare: 0.3, maxShare: 0.6 },
    { label: "wrong", sort: "share" },
    { search: "sum of" },
    { search: "SAM nut", sort: "length" },
    { search: 'nuts" OR has* ( NEAR' },
    { descending: true, verdict: ["aboveBand", "belowBand"] },
  ];

  it.each(queries)("%o", (query) => {
    const reader = new IndexReader(database);
    const wanted = expected(all, query);
    const full = { run: ["one"], source: "pool" as const, ...query };
    const first = reader.answer({ ask: "questions", query: full, offset: 0, limit: 50 });
    const { total, rows } = first.answer as { total: number; rows: QuestionRow[] };
    expect(total).toBe(wanted.length);
    expect(rows.map(({ id }) => id)).toEqual(wanted.slice(0, 50));
    const deep = { ask: "questions", query: full, offset: Math.floor(wanted.length / 2), limit: 20 } as const;
    const half = wanted.slice(deep.offset, deep.offset + 20);
    expect((reader.answer(deep).answer as { rows: QuestionRow[] }).rows.map(({ id }) => id)).toEqual(half);
    first.after?.();
    expect((reader.answer(deep).answer as { rows: QuestionRow[] }).rows.map(({ id }) => id)).toEqual(half);
  });

  it("a row tells what its line says, and whether its label is right", () => {
    const query = { run: ["one"], iteration: [3], source: "pool" as const };
    const { rows } = new IndexReader(database).answer({ ask: "questions", query, offset: 4, limit: 1 }).answer as {
      rows: QuestionRow[];
    };
    const line = readFileSync(join(root, "one/iteration-03/curriculum/questions.jsonl"), "utf8").split("\n")[4];
    const { question, pseudoLabel, voteShare, answers, ownAnswer } = JSON.parse(line);
    const truth = all.find(({ id }) => id === "one/3/pool/0/5");
    expect(rows[0]).toMatchObject({
      id: "one/3/pool/0/5",
      question,
      label: pseudoLabel,
      share: voteShare,
      answers: answers.length,
    });
    expect(rows[0]).toMatchObject({ truth: ownAnswer, labelRight: truth?.right, line: 5 });
    expect(rows[0].votes.reduce((sum, { count }) => sum + count, 0)).toBeLessThanOrEqual(10);
    expect(rows[0].votes[0]).toEqual({ answer: pseudoLabel, count: Math.round(voteShare * 10) });
  });

  it("leads from a question to the steps that trained on it, and to their texts", () => {
    const reader = new IndexReader(database);
    const query = { run: ["one"], trained: true, sort: "trained" as const, descending: true };
    const { rows } = reader.answer({ ask: "questions", query, offset: 0, limit: 1 }).answer as { rows: QuestionRow[] };
    const detail = reader.answer({ ask: "question", id: rows[0].id }).answer as QuestionDetail;
    expect(detail.groups).toHaveLength(rows[0].trained);
    const group = reader.answer({ ask: "group", id: detail.groups[0].id }).answer as RolloutGroup;
    const { iteration, step } = group;
    const file = `one/iteration-${String(iteration).padStart(2, "0")}/solver/rollouts/step-${String(step).padStart(6, "0")}.jsonl`;
    const lines = readFileSync(join(root, file), "utf8").split("\n");
    const line = JSON.parse(lines[Number(detail.groups[0].id.split("/").at(-1)) - 1]);
    expect(`one/${line.iteration}/pool/0/${line.line}`).toBe(rows[0].id);
    expect(group.rollouts.map(({ text }) => text)).toEqual(line.samples.map(({ text }: { text: string }) => text));
    for (const { text, tokens } of group.rollouts) expect(tokens.map((token) => token.text).join("")).toBe(text);
    expect(group.rollouts[3].tokens.map(({ logprob }) => logprob)).toEqual(line.samples[3].logprobs);
  });

  it("tells the parts of a Challenger rollout's reward", () => {
    const query = { run: ["one"], source: "challenger" as const, sort: "reward" as const, descending: true };
    const { rows } = new IndexReader(database).answer({ ask: "questions", query, offset: 0, limit: 3 }).answer as {
      rows: QuestionRow[];
    };
    expect(rows[0].reward?.total).toBeGreaterThanOrEqual(rows[2].reward?.total ?? 2);
    expect(rows[0].reward).toMatchObject({ repetition: 0.01, novelty: 0 });
  });

  it("finds earlier questions of near wording, no later ones", () => {
    const { nearest } = new IndexReader(database).answer({ ask: "question", id: "one/4/pool/0/9" }).answer as QuestionDetail;
    expect(nearest.length).toBeGreaterThan(0);
    expect(nearest.every(({ iteration }) => iteration < 4)).toBe(true);
    const similarities = nearest.map(({ similarity }) => similarity);
    expect(similarities).toEqual([...similarities].sort((a, b) => b - a));
    expect(similarities[0]).toBeGreaterThan(0.4);
  });

  it("gives every question of a pool a cluster, and the sizes add up", () => {
    updateMap(database, 0, "like");
    const { run } = database.prepare("SELECT run FROM runs WHERE name = 'one'").get() as { run: number };
    expect(updateMap(database, run, "one")).toBe(true);
    expect(updateMap(database, run, "one")).toBe(false);
    const map = new IndexReader(database).answer({ ask: "map", run: "one" }).answer as {
      clusters: { sizes: object }[];
      total: number;
    };
    const sizes = map.clusters.flatMap(({ sizes: own }) => Object.values(own) as number[]);
    expect(sizes.reduce((sum, size) => sum + size, 0)).toBe(400);
    expect(map.total).toBe(400);
    const without = "SELECT count(*) AS n FROM questions WHERE run = ? AND source = 0 AND cluster IS NULL";
    expect(database.prepare(without).get(run)).toMatchObject({ n: 0 });
  });
});

describe("however it came about", () => {
  it("is the same read bit by bit, with torn lines, replaced and removed files, as read at once", () => {
    const growing = join(scratch, "growing");
    const dir = writeSmallRun(growing, "run", 3);
    writeSmallRun(growing, "other", 4);
    const files = ["01/curriculum/questions.jsonl", "01/solver/rollouts/step-000007.jsonl", "02/curriculum/questions.jsonl"].map(
      (path) => join(dir, `iteration-${path}`),
    );
    const whole = files.map((file) => readFileSync(file));
    for (const phase of ["01/curriculum", "01/solver", "02/curriculum"]) rmSync(join(dir, `iteration-${phase}`, "done.json"));
    const parts = open("parts.sqlite");
    const builder = new IndexBuilder(growing, parts);
    for (const cut of [0.1, 0.5001, 0.9, 1])
      for (const [index, file] of files.entries()) {
        writeFileSync(file, whole[index].subarray(0, Math.floor(whole[index].length * cut)));
        expect(builder.update().size).toBeGreaterThan(0);
      }
    // The same place, other content: replaced as the store replaces files.
    writeFileSync(`${files[0]}.new`, whole[2]);
    renameSync(`${files[0]}.new`, files[0]);
    rmSync(join(growing, "other"), { recursive: true });
    rmSync(files[1]);
    builder.update();
    appendFileSync(files[2], "not JSON\n[1]\n{}\n\n");
    builder.update();
    expect(builder.update().size).toBe(0);

    const fresh = open("fresh.sqlite");
    new IndexBuilder(growing, fresh).update();
    expect(dump(parts)).toEqual(dump(fresh));
    expect((dump(fresh) as { questions: unknown[] }).questions.length).toBe(400 + ITERATIONS * 8 + 1);
  });

  it("reads no link of a copied run", () => {
    const copied = join(scratch, "copied");
    const file = join(writeSmallRun(copied, "run", 5), "iteration-01/curriculum/questions.jsonl");
    renameSync(file, join(scratch, "elsewhere.jsonl"));
    symlinkSync(join(scratch, "elsewhere.jsonl"), file);
    const linked = open("linked.sqlite");
    new IndexBuilder(copied, linked).update();
    expect(linked.prepare("SELECT count(*) AS n FROM questions WHERE source = 0").get()).toMatchObject({ n: 300 });
  });

  it("goes on where another process left it", () => {
    const once = open("again.sqlite");
    new IndexBuilder(root, once).update();
    const before = dump(once);
    expect(new IndexBuilder(root, once).update().size).toBe(0);
    expect(dump(once)).toEqual(before);
  });
});

describe("a damaged index", () => {
  it.each([
    ["garbage", (file: string) => writeFileSync(file, "no database ".repeat(2000))],
    ["cut short", (file: string) => truncateSync(file, 5000)],
    [
      "of another format",
      (file: string) => {
        const other = openIndex(file);
        other.exec("PRAGMA user_version = 99");
        other.close();
      },
    ],
  ])("%s is made anew", (name, damage) => {
    const file = join(scratch, `${name}.sqlite`);
    const first = openIndex(file);
    new IndexBuilder(root, first).update();
    first.close();
    for (const beside of readdirSync(scratch).filter((one) => one.startsWith(`${name}.sqlite-`))) rmSync(join(scratch, beside));
    damage(file);
    const again = open(`${name}.sqlite`);
    new IndexBuilder(root, again).update();
    expect(dump(again)).toEqual(dump(database));
  });
});
