import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, it } from "vitest";
import { compareResults } from "./compare.ts";
import { benchmarkOf } from "./load.ts";
import { benchResult, type EvaluationResult, fingerprintOf, readResult, withoutItems } from "./results.ts";
import { gradeAll, scoreBench } from "./runner.ts";

const scratch = mkdtempSync(join(tmpdir(), "rzero-compare-"));
afterAll(() => rmSync(scratch, { recursive: true, force: true }));

const hash = { weights: "w", files: "f" };
const settings = { protocol: "sampled", seed: 0, topP: 1, topK: 0, maxTokens: 8, prompt: [] } as const;

/** A result in which question i is right when `right(i)` says so. */
async function result(right: (i: number) => boolean, count = 200, prefix = ""): Promise<EvaluationResult> {
  const questions = Array.from({ length: count }, (_, i) => ({ question: `${prefix}${i}?`, answer: String(i) }));
  const bench = benchmarkOf("numbers", questions, "test");
  const texts = questions.map((_, i) => [{ text: `\\boxed{${right(i) ? i : -1}}`, stopReason: "stop" as const }]);
  const graded = await gradeAll(texts, questions);
  const score = scoreBench({ name: "numbers", questions, samples: 1, temperature: 0, seed: 0 }, graded);
  const benches = [benchResult(bench, score, graded, 0)];
  return { kind: "rzero-evaluation", rzero: "0", fingerprint: "", model: "m", modelHash: hash, settings, benches };
}

describe("compareResults", () => {
  it("is the paired difference A − B, and turns its sign with the order", async () => {
    const a = await result((i) => i < 120);
    const b = await result((i) => i >= 8 && i < 100);
    const forward = compareResults(a, b, 1);
    expect(forward).toMatchObject({
      questions: 200,
      meanA: 0.6,
      meanB: 0.46,
      better: 28,
      worse: 0,
      equal: 172,
      differentSettings: [],
    });
    expect(forward.difference).toBeCloseTo(0.14, 12);
    expect(forward.ci95[0]).toBeGreaterThan(0.09);
    expect(forward.ci95[1]).toBeLessThan(0.2);
    expect(forward.pValue).toBeLessThan(0.001);
    expect(compareResults(b, a, 1).difference).toBeCloseTo(-0.14, 12);
    expect(compareResults(a, a, 1)).toMatchObject({ difference: 0, ci95: [0, 0], pValue: 1 });
  });
  it("joins several benchmarks, tells other settings, and refuses other questions", async () => {
    const [a, other] = [await result((i) => i % 2 === 0), await result(() => true, 50, "other ")];
    const both = { ...a, benches: [...a.benches, ...other.benches], settings: { ...settings, maxTokens: 9 } };
    const { questions, meanA, benches, differentSettings } = compareResults(both, { ...both, settings }, 1);
    expect([questions, meanA, benches.length]).toEqual([250, 0.6, 2]);
    expect(differentSettings).toEqual(["maxTokens"]);
    expect(() => compareResults(a, other, 1)).toThrow("whose data hashes differ");
  });
});

describe("result files", () => {
  it("come back as written, and other JSON is refused", async () => {
    const written = await result((i) => i < 3, 5);
    const file = join(scratch, "r.json");
    writeFileSync(file, JSON.stringify(written));
    expect(compareResults(readResult(file), written, 0).difference).toBe(0);
    expect(withoutItems(written).benches).toEqual([expect.not.objectContaining({ items: expect.anything() })]);
    writeFileSync(file, '{"benches":[]}');
    expect(() => readResult(file)).toThrow('expected a result of rzero eval ("kind": "rzero-evaluation"), got nothing');
    writeFileSync(file, JSON.stringify({ ...written, benches: [{ ...written.benches[0], items: [{ score: 2 }] }] }));
    expect(() => readResult(file)).toThrow('benches[0].items[0]: expected "score" in [0, 1], got 2');
  });
  it("the fingerprint changes with weights, data, plan and settings", () => {
    const plans = [{ sha256: "d", plan: { samples: 1, temperature: 0 } }];
    const all = [
      fingerprintOf(hash, plans, settings, "1"),
      fingerprintOf({ ...hash, weights: "x" }, plans, settings, "1"),
      fingerprintOf(hash, [{ ...plans[0], sha256: "e" }], settings, "1"),
      fingerprintOf(hash, [{ ...plans[0], plan: { samples: 2, temperature: 0 } }], settings, "1"),
      fingerprintOf(hash, plans, { ...settings, seed: 1 }, "1"),
      fingerprintOf(hash, plans, settings, "2"),
    ];
    expect(new Set(all).size).toBe(6);
  });
});
