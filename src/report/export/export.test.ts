// What is exported of a run, read back by other readers: series from events, TensorBoard's records, CSV, Parquet and its card.

import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { BinaryReader } from "@bufbuild/protobuf/wire";
import { parquetReadObjects } from "hyparquet";
import { afterAll, describe, expect, it } from "vitest";
import { parse } from "yaml";
import { loadConfig, parseOverride } from "../../config/load.ts";
import type { RunStore, StoredEvent } from "../../store/run-store.ts";
import { createRun } from "../../store/runs.ts";
import { datasetCard, datasetParquet, datasetRows } from "./dataset.ts";
import { metricsCsv } from "./metrics-csv.ts";
import { points } from "./series.ts";
import { maskedCrc, tensorboardFile } from "./tensorboard.ts";

const root = mkdtempSync(join(tmpdir(), "rzero-export-"));
afterAll(() => rmSync(root, { recursive: true, force: true }));

function solverStep(iteration: number, step: number, reward: number): StoredEvent {
  const time = new Date(1000 * (1_000 + 10 * iteration + step)).toISOString();
  return { time, event: "solver-step", iteration, step, steps: 2, seconds: 2, metrics: { reward, tokens: 100 } };
}

describe("points", () => {
  it("counts steps over iterations and keeps what was told last", () => {
    const events = [
      { event: "start", iteration: 1 },
      solverStep(1, 1, 0.1),
      solverStep(1, 2, 0.2),
      solverStep(1, 2, 0.25), // again, after a resume
      solverStep(2, 1, 0.3),
    ] as StoredEvent[];
    const rewards = points(events).filter(({ tag }) => tag === "solver/reward");
    expect(rewards.map(({ step, iteration, value }) => [step, iteration, value])).toEqual([
      [1, 1, 0.1],
      [2, 1, 0.25],
      [3, 2, 0.3],
    ]);
    expect(points(events).find(({ tag, step }) => tag === "solver/tokensPerSecond" && step === 3)?.value).toBe(50);
  });

  it("flattens nested measures, names intervals, leaves out what is no number", () => {
    const metrics = { kept: 5, rejected: { "in-band": 2 }, audit: { mean: 0.8, ci95: [0.7, 0.9] }, labelAccuracy: Number.NaN };
    const found = points([{ time: "2026-01-01T00:00:00Z", event: "curriculum", iteration: 3, metrics }]);
    expect(Object.fromEntries(found.map(({ tag, value }) => [tag, value]))).toEqual({
      "curriculum/kept": 5,
      "curriculum/rejected/in-band": 2,
      "curriculum/audit/mean": 0.8,
      "curriculum/audit/ci95/low": 0.7,
      "curriculum/audit/ci95/high": 0.9,
    });
    expect(found[0]).toMatchObject({ step: 3, iteration: 3, time: 1767225600 });
  });
});

describe("TensorBoard", () => {
  it("masks CRC-32C as TFRecord does", () => {
    // crc32c("123456789") is e3069283 by the standard; rotated right by 15 and shifted by the constant.
    const rotated = ((0xe3069283 >>> 15) | (0xe3069283 << 17)) >>> 0;
    expect(maskedCrc(Buffer.from("123456789"))).toBe((rotated + 0xa282ead8) % 2 ** 32);
  });

  it("writes framed events that a protobuf reader gives back", () => {
    const bytes = Buffer.from(tensorboardFile(points([solverStep(1, 1, 0.5), solverStep(1, 2, 1e300)])));
    const records: Buffer[] = [];
    for (let at = 0; at < bytes.length; ) {
      const length = Number(bytes.readBigUInt64LE(at));
      expect(bytes.readUInt32LE(at + 8)).toBe(maskedCrc(bytes.subarray(at, at + 8)));
      const data = bytes.subarray(at + 12, at + 12 + length);
      expect(bytes.readUInt32LE(at + 12 + length)).toBe(maskedCrc(data));
      records.push(data);
      at += 16 + length;
    }
    expect(records[0].includes("brain.Event:2")).toBe(true);
    const read = records.slice(1).map(readScalar);
    expect(read.filter(({ tag }) => tag === "solver/reward")).toEqual([
      { time: 1011, step: 1, tag: "solver/reward", value: 0.5 },
      { time: 1012, step: 2, tag: "solver/reward", value: Number.POSITIVE_INFINITY },
    ]);
  });
});

/** An Event with one scalar. */
function readScalar(data: Uint8Array) {
  const event = new BinaryReader(data);
  const out = { time: 0, step: 0, tag: "", value: 0 };
  while (event.pos < event.len) {
    const [field] = event.tag();
    if (field === 1) out.time = event.double();
    else if (field === 2) out.step = Number(event.int64());
    else {
      const summary = new BinaryReader(event.bytes());
      summary.tag();
      const value = new BinaryReader(summary.bytes());
      value.tag();
      out.tag = value.string();
      value.tag();
      out.value = value.float();
    }
  }
  return out;
}

it("writes CSV with quoted names and every digit", () => {
  const csv = metricsCsv('a,"b"', [{ tag: "solver/reward", iteration: 1, step: 2, time: 0, value: 0.1 + 0.2 }]);
  expect(csv).toBe(
    'run,tag,iteration,step,time,value\r\n"a,""b""",solver/reward,1,2,1970-01-01T00:00:00.000Z,0.30000000000000004\r\n',
  );
});

describe("data set", () => {
  const store: RunStore = createRun({
    root,
    config: loadConfig({ recipe: "tiny", overrides: [parseOverride("--seed=3")] }),
    version: "1",
  });
  const files = store.openPhase(1, "curriculum");
  const pool = [
    { question: "What is 1+1?", pseudoLabel: "2", voteShare: 0.75, answers: ["2", "2", null, "2"], verdict: "kept" },
    { question: "", voteShare: 0, answers: [], verdict: "malformed" },
    { question: "Résumé \\frac{1}{2}?", voteShare: 0, answers: [null, null], verdict: "out-of-band" },
  ];
  writeFileSync(files.questions, pool.map((row) => `${JSON.stringify(row)}\n`).join(""));
  store.markDone(1, "curriculum", { pool: 3, wellFormed: 2, kept: 1, rejected: {}, labelAccuracy: 0.5, coverage: {} });
  const rows = datasetRows(store, [1]);

  it("holds the well-formed questions, read back from Parquet", async () => {
    const bytes = datasetParquet(rows);
    const file = bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.byteLength) as ArrayBuffer;
    expect(await parquetReadObjects({ file })).toEqual([
      {
        id: "1-1",
        iteration: 1,
        question: "What is 1+1?",
        answer: "2",
        vote_share: 0.75,
        votes: ["2", "2", null, "2"],
        verdict: "kept",
      },
      {
        id: "1-3",
        iteration: 1,
        question: "Résumé \\frac{1}{2}?",
        answer: null,
        vote_share: 0,
        votes: [null, null],
        verdict: "out-of-band",
      },
    ]);
  });

  it("has a card whose metadata fits the rows", () => {
    const card = datasetCard({ store, rows, bytes: 123 });
    const [, header, text] = card.split("---\n");
    const { configs, dataset_info: info } = parse(header);
    expect(configs[0].data_files).toEqual([{ split: "train", path: "data/train-00000-of-00001.parquet" }]);
    expect(info.splits).toEqual([{ name: "train", num_bytes: 123, num_examples: 2 }]);
    expect(text).toContain("2 well-formed questions, 1 of them kept. Right among the kept labels: 50.0 % in iteration 1.");
  });
});
