// A resumable evaluation with an engine whose answers are scripted: interruption, other settings, chunk sizes, the judge beside ours.

import { existsSync, mkdtempSync, readFileSync, rmSync, truncateSync, writeFileSync } from "node:fs";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, it } from "vitest";
import { ScriptedEngine } from "../engine/scripted.ts";
import type { Sampler } from "../engine/types.ts";
import { BENCHMARKS, findBenchmark } from "./catalogue.ts";
import { judgePairs, judgeSettings, readVerdict } from "./judge.ts";
import { benchmarkOf } from "./load.ts";
import { passCounts, planFor } from "./protocols.ts";
import type { BenchResultWithItems } from "./results.ts";
import { evaluateBenches, type SessionOptions } from "./session.ts";
import { passAtK } from "./statistics.ts";

const scratch = mkdtempSync(join(tmpdir(), "rzero-session-"));
afterAll(() => rmSync(scratch, { recursive: true, force: true }));

const questions = Array.from({ length: 20 }, (_, i) => ({
  question: `What is ${i}+1?`,
  answer: String(i + 1),
  category: i < 5 ? "few" : "many",
}));

/** Right with a chance that grows with the number asked about; sometimes no box, sometimes too long. */
async function scripted(): Promise<{ engine: ScriptedEngine; sampler: Sampler; sampling: SessionOptions["sampling"] }> {
  const engine = new ScriptedEngine(({ text, rng }) => {
    const n = Number(/is (\d+)\+1/.exec(text)?.[1]);
    const draw = rng.next();
    if (draw < 0.1) return "I cannot say";
    if (draw < 0.15) return `${"hm ".repeat(100)}\\boxed{${n + 1}}`;
    return `so \\boxed{${rng.next() < n / 20 ? n + 1 : n}}`;
  });
  const sampling = {
    tokenizer: await engine.openTokenizer(),
    messages: [{ role: "user" as const, content: "{question}" }],
    topP: 1,
    maxTokens: 60,
    seed: 5,
  };
  return { engine, sampler: await engine.openSnapshot("model"), sampling };
}

let number = 0;
async function session(more: Partial<SessionOptions> = {}): Promise<SessionOptions & { engine: ScriptedEngine }> {
  const dir = join(scratch, String(number++));
  const { engine, sampler, sampling } = await scripted();
  return {
    engine,
    sampler,
    sampling,
    benches: [{ bench: benchmarkOf("sums", questions, "test"), plan: { samples: 4, temperature: 1 } }],
    journal: join(dir, "r.journal.jsonl"),
    answers: join(dir, "r.answers.jsonl"),
    fingerprint: "one",
    chunkCompletions: 12,
    ...more,
  };
}

async function run(options: SessionOptions): Promise<BenchResultWithItems> {
  let kept: readonly BenchResultWithItems[] = [];
  await evaluateBenches(options, (results) => {
    kept = results;
  });
  return kept[0];
}

describe("evaluateBenches", () => {
  it("gives the same numbers for any chunk size, and counts what it should", async () => {
    const results = await Promise.all([1, 12, 1000].map(async (chunkCompletions) => run(await session({ chunkCompletions }))));
    expect(results[1]).toEqual(results[0]);
    expect(results[2]).toEqual(results[0]);
    const { mean, passAt, passAtK: passAt4, unparsed, truncated, items, byCategory, ci95 } = results[0];
    const all = items.flatMap(({ answers }) => answers);
    expect(all).toHaveLength(80);
    expect(unparsed).toBe(all.filter(({ answer }) => answer === null).length);
    expect(truncated).toBe(all.filter((given) => given.truncated).length);
    expect(Math.min(unparsed, truncated)).toBeGreaterThan(0);
    expect(all.filter((given) => given.truncated && given.correct)).toEqual([]);
    expect(mean).toBeCloseTo(all.filter(({ correct }) => correct).length / 80, 12);
    expect(ci95[0]).toBeLessThan(mean);
    const rights = items.map(({ answers }) => answers.filter(({ correct }) => correct).length);
    const expected = (k: number) => rights.reduce((sum, correct) => sum + passAtK({ samples: 4, correct, k }), 0) / 20;
    expect(passAt["2"]).toBeCloseTo(expected(2), 12);
    expect(passAt4).toBe(passAt["4"]);
    expect(passAt["1"]).toBeCloseTo(mean, 12);
    expect(byCategory.few.questions).toBe(5);
    expect((byCategory.few.mean * 5 + byCategory.many.mean * 15) / 20).toBeCloseTo(mean, 12);
  });

  it("goes on after an interruption and a torn last line; the result is that of an uninterrupted one", async () => {
    const whole = await run(await session());
    const controller = new AbortController();
    const first = await session({ signal: controller.signal, on: (_, done) => done > 30 && controller.abort() });
    await expect(evaluateBenches(first, () => undefined)).rejects.toThrow("the finished questions are kept");
    const kept = readFileSync(first.journal, "utf8");
    truncateSync(first.journal, Buffer.byteLength(kept) - 5);
    let resumed = -1;
    const second = await session({
      journal: first.journal,
      answers: first.answers,
      onOpen: (journal) => (resumed = journal.resumed),
    });
    expect(await run(second)).toEqual(whole);
    expect(resumed).toBe(kept.trimEnd().split("\n").length - 2);
    const asked = second.engine.calls.flatMap((call) => (call.kind === "sample" ? call.prompts : []));
    expect(asked).toHaveLength(20 - resumed);
    expect([existsSync(first.journal), existsSync(first.answers)]).toEqual([false, true]);
  });

  it("does not go on with a journal of other settings, or a damaged one", async () => {
    const whole = await run(await session());
    for (const content of [
      '{"fingerprint":"two"}\n{"bench":0,"question":0,"completions":[]}\n',
      "not json\n",
      '{"fingerprint":"one"}\n{"bench":0,"question":0,"completions":[7]}\n',
    ]) {
      let dropped = false;
      const options = await session({ onOpen: (journal) => (dropped = journal.dropped) });
      await evaluateBenches(await session({ journal: options.journal, answers: options.answers }), () => undefined);
      writeFileSync(options.journal, content);
      expect(await run(options)).toEqual(whole);
      expect(dropped).toBe(true);
    }
  });
});

describe("the judge", () => {
  /** Replies by the pair; fails on request. */
  async function withJudge(
    reply: (pair: Record<string, string>) => string | number,
    use: (url: string, seen: string[]) => Promise<void>,
  ) {
    const seen: string[] = [];
    const server = createServer(async (request, response) => {
      const chunks: Buffer[] = [];
      for await (const chunk of request) chunks.push(chunk as Buffer);
      const body = JSON.parse(Buffer.concat(chunks).toString()) as { messages: { content: string }[] };
      seen.push(body.messages[1].content);
      const content = reply(JSON.parse(body.messages[1].content) as Record<string, string>);
      if (typeof content === "number") response.writeHead(content).end();
      else response.writeHead(200).end(JSON.stringify({ choices: [{ message: { content } }] }));
    });
    await new Promise<void>((ready) => server.listen(0, "127.0.0.1", ready));
    try {
      await use(`http://127.0.0.1:${(server.address() as AddressInfo).port}/v1`, seen);
    } finally {
      server.closeAllConnections();
      server.close();
    }
  }

  it("is asked once per distinct pair, truth and answer in their own fields; its verdicts stand beside ours", async () => {
    const ours = await run(await session());
    await withJudge(
      ({ question, referenceAnswer, modelAnswer }) => {
        expect(referenceAnswer).toBe(String(Number(/is (\d+)/.exec(question)?.[1]) + 1));
        if (question.includes("is 7+")) return 400;
        return `thinking … {"equivalent": ${modelAnswer === referenceAnswer}}`;
      },
      async (url, seen) => {
        const judged = await run(await session({ judge: judgeSettings(url, "tester", {}) }));
        expect({ ...judged, judge: undefined, items: [] }).toEqual({ ...ours, judge: undefined, items: [] });
        const answers = judged.items.flatMap((item) => item.answers);
        expect(new Set(seen).size).toBe(seen.length);
        expect(judged.judge?.failed).toBe(judged.items[7].answers.filter(({ answer }) => answer !== null).length);
        expect(judged.items[7].answers.map(({ judge }) => judge)).not.toContain(true);
        const rightWhenCut = answers.filter(({ judge, correct, truncated }) => judge === true && !correct && truncated).length;
        expect(judged.judge?.disagreed).toBe(rightWhenCut);
        expect((judged.judge?.agreed ?? 0) + (judged.judge?.disagreed ?? 0) + (judged.judge?.failed ?? 0)).toBe(
          answers.filter(({ answer }) => answer !== null).length,
        );
      },
    );
  });

  it("failing is counted, never thrown", async () => {
    const pair = { question: "q", truth: "1", predicted: "1" };
    const gone = { ...judgeSettings("http://127.0.0.1:9/v1", "m", {}), attempts: 1 };
    expect(await judgePairs([pair, pair], gone)).toEqual(["failed", "failed"]);
    await withJudge(
      () => "no idea",
      async (url) => {
        expect(await judgePairs([pair], judgeSettings(url, "m", {}))).toEqual(["failed"]);
      },
    );
  });

  it("reads the last verdict of a reply", () => {
    expect(readVerdict('{"equivalent": false} no wait {"equivalent": true}')).toBe(true);
    expect(readVerdict("equivalent: FALSE")).toBe(false);
    expect(readVerdict("yes")).toBe("failed");
  });

  it("refuses an address with a name in it", () => {
    expect(() => judgeSettings("http://user:key@host/v1", "m", {})).toThrow("--judge");
  });
});

describe("protocols", () => {
  it("paper is greedy, and mean@32 above temperature 0 for AMC and AIME", () => {
    const plans = Object.fromEntries(BENCHMARKS.map((source) => [source.name, planFor("paper", source, {})]));
    expect(plans["math-500"]).toEqual({ samples: 1, temperature: 0 });
    expect(plans.aime24).toEqual({ samples: 32, temperature: 1 });
    expect(planFor("paper", findBenchmark("amc23"), { temperature: 0.6 })).toEqual({ samples: 32, temperature: 0.6 });
    expect(planFor("paper", undefined, {})).toEqual({ samples: 1, temperature: 0 });
    expect(() => planFor("paper", findBenchmark("aime25"), { temperature: 0 })).toThrow("32 greedy answers are one");
    expect(() => planFor("paper", undefined, { samples: 8 })).toThrow("--samples");
  });
  it("sampled is mean@k at temperature 1 unless asked otherwise, greedy for one sample", () => {
    expect(planFor("sampled", undefined, {})).toEqual({ samples: 1, temperature: 0 });
    expect(planFor("sampled", findBenchmark("aime24"), { samples: 8 })).toEqual({ samples: 8, temperature: 1 });
    expect(planFor("sampled", undefined, { temperature: 0.7 })).toEqual({ samples: 1, temperature: 0.7 });
    expect(passCounts(1)).toEqual([1]);
    expect(passCounts(8)).toEqual([1, 2, 4, 8]);
    expect(passCounts(6)).toEqual([1, 2, 4, 6]);
  });
});
