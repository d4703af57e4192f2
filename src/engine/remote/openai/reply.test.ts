// Requests and answers in the words of each kind of server, against answers of the form that those servers document.

import { describe, expect, it } from "vitest";
import type { SamplingParams } from "../../types.ts";
import { GarbageError, type ReplyContext, readReply } from "./reply.ts";
import { type Dialect, requestOf, shapeOf } from "./wire.ts";

/** Characters are tokens. */
const tokenizer = {
  encode: (text: string) => Int32Array.from(text, (character) => character.charCodeAt(0)),
  decode: (tokens: ArrayLike<number>) => String.fromCharCode(...Array.from(tokens)),
};
const params: SamplingParams = { n: 2, maxTokens: 3, temperature: 0.7, topP: 0.9, topK: 40, stopTokens: [10], seed: 5 };
const draw = { prompt: Int32Array.of(65, 66), first: 4, n: 2, params };

const context = (dialect: Dialect): ReplyContext & { counted: [number, number | undefined][] } => {
  const counted: [number, number | undefined][] = [];
  const retokenised = (made: number, server: number | undefined) => void counted.push([made, server]);
  return { facts: { dialect, model: "m", context: 64 }, model: "m", tokenizer, vocabSize: 128, retokenised, counted };
};
const request = (dialect: Dialect, changes: Partial<SamplingParams> = {}) => {
  const changed = { ...draw, params: { ...params, ...changes } };
  return requestOf({ dialect, model: "m", context: 64 }, "m", changed, shapeOf(changed, 64)!);
};
const plain = (value: ReturnType<typeof readReply>) =>
  value.map((c) => ({ ...c, tokens: [...c.tokens], logprobs: [...c.logprobs] }));

describe("vLLM and our own server", () => {
  it("are asked with token ids, and only the caller's stop tokens end a completion", () => {
    expect(request("vllm", { stopStrings: ["xy"] })).toEqual({
      path: "/v1/completions",
      body: {
        model: "m",
        prompt: [65, 66],
        n: 2,
        max_tokens: 3,
        temperature: 0.7,
        top_p: 0.9,
        top_k: 40,
        logprobs: 0,
        stop: ["xy"],
        ignore_eos: true,
        stop_token_ids: [10],
        return_token_ids: true,
        seed: expect.any(Number),
      },
    });
    expect(request("rzero").body).toMatchObject({ seed: 5, first_sample: 4 });
    expect(request("vllm").body.seed).not.toEqual(
      requestOf({ dialect: "vllm", model: "m", context: 64 }, "m", { ...draw, first: 6 }, shapeOf(draw)!).body.seed,
    );
  });

  it("bound the answer by their context, and take a forced prefix as part of the prompt", () => {
    expect(shapeOf(draw, 4)).toMatchObject({ most: 2, forced: 0 });
    expect(shapeOf(draw, 2)).toBeUndefined();
    const forced = { ...draw, params: { ...params, forcedPrefix: [67] } };
    const shape = shapeOf(forced, 64)!;
    expect([...shape.tokens]).toEqual([65, 66, 67]);
    expect(shape).toMatchObject({ forced: 1, most: 2 });
    expect(request("vllm", { forcedPrefix: [67] }).body).toMatchObject({
      prompt: [65, 66, 67],
      max_tokens: 2,
      prompt_logprobs: 0,
    });
    const choice = (index: number) => ({
      index,
      text: "??",
      token_ids: [80, 10],
      logprobs: { token_logprobs: [-1, -0.5] },
      finish_reason: "stop",
      prompt_logprobs: [null, { 66: { logprob: -9 } }, { 67: { logprob: -3 }, 1: { logprob: -1 } }],
    });
    const reply = { model: "m", choices: [choice(1), choice(0)] };
    const one = { tokens: [67, 80, 10], logprobs: [-3, -1, -0.5], text: "CP", stopReason: "stop" };
    expect(plain(readReply(reply, forced, shape, context("vllm")))).toEqual([one, one]);
  });
});

describe("SGLang", () => {
  it("is asked and read in its own words", () => {
    expect(request("sglang")).toMatchObject({
      path: "/generate",
      body: {
        input_ids: [65, 66],
        return_logprob: true,
        sampling_params: { n: 2, max_new_tokens: 3, top_k: 40, stop_token_ids: [10] },
      },
    });
    expect(request("sglang", { topK: 0 }).body.sampling_params).toMatchObject({ top_k: -1 });
    const item = (pairs: [number, number, null][], type: string) => ({
      text: "",
      meta_info: { finish_reason: { type }, output_token_logprobs: pairs, weight_version: "v" },
    });
    const reply = [
      item(
        [
          [-1, 72, null],
          [-2, 10, null],
        ],
        "stop",
      ),
      item(
        [
          [-1, 73, null],
          [-1, 74, null],
          [-1, 75, null],
        ],
        "length",
      ),
    ];
    expect(plain(readReply(reply, draw, shapeOf(draw)!, context("sglang")))).toEqual([
      { tokens: [72, 10], logprobs: [-1, -2], text: "H", stopReason: "stop" },
      { tokens: [73, 74, 75], logprobs: [-1, -1, -1], text: "IJK", stopReason: "length" },
    ]);
    const stale = { ...context("sglang"), version: "w" };
    expect(() => readReply(reply, draw, shapeOf(draw)!, stale)).toThrow(/weight_version: expected w, got "v"/);
    const aborted = [reply[0], item([[-1, 73, null]], "abort")];
    expect(() => readReply(aborted, draw, shapeOf(draw)!, context("sglang"))).toThrow(GarbageError);
  });
});

describe("a server of texts alone", () => {
  const reply = (choices: object[], usage?: object) => ({ model: "another-name", choices, usage });

  it("has its texts tokenised here, which is counted", () => {
    const seen = context("plain");
    const choices = [
      { index: 0, text: "ab", finish_reason: "stop", logprobs: { token_logprobs: [-1, -2, -3] } },
      { index: 1, text: "abc", finish_reason: "length", logprobs: null },
    ];
    const [first, second] = plain(readReply(reply(choices), draw, shapeOf(draw)!, seen));
    expect(first).toEqual({ tokens: [97, 98, 10], logprobs: [-1, -2, -3], text: "ab", stopReason: "stop" });
    expect(second).toEqual({
      tokens: [97, 98, 99],
      logprobs: [Number.NaN, Number.NaN, Number.NaN],
      text: "abc",
      stopReason: "length",
    });
    const single = { ...draw, n: 1 };
    readReply(
      reply(
        [choices[1]].map((choice) => ({ ...choice, index: 0 })),
        { completion_tokens: 2 },
      ),
      single,
      shapeOf(single)!,
      seen,
    );
    expect(seen.counted).toEqual([
      [3, undefined],
      [3, undefined],
      [3, 2],
    ]);
  });

  it("is not believed either", () => {
    const long = { index: 0, text: "x".repeat(100), finish_reason: "length" };
    for (const choices of [[long, { ...long, index: 1 }], [{ index: 0, text: 5, finish_reason: "stop" }], []])
      expect(() => readReply(reply(choices), draw, shapeOf(draw)!, context("plain"))).toThrow(GarbageError);
  });
});
