// Tests of the OpenAI server over loopback with the golden model: the openai client, streams, logprobs, echo, concurrency,
// cancelling. Limits and garbage are in http.test.ts. The engine's worker is the compiled one in dist/.

import { readFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import OpenAI from "openai";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { samplingParams } from "../../test/contract/engine-contract.ts";
import { createEngine } from "../engine/create.ts";
import type { Engine, LiveSampler, Snapshot, Tokenizer } from "../engine/types.ts";
import type { HttpServer } from "./http.ts";
import { serveOpenAI } from "./openai.ts";

const dir = fileURLToPath(new URL("../../test/golden/tiny-qwen3/", import.meta.url));
const golden = JSON.parse(readFileSync(join(dir, "expected.json"), "utf8"));
const model = "tiny";

let engine: Engine;
let snapshot: Snapshot;
let live: LiveSampler;
let tokenizer: Tokenizer;
let server: HttpServer;
let client: OpenAI;

beforeAll(async () => {
  engine = createEngine({ kind: "local", threads: 2, slots: 32 });
  tokenizer = await engine.openTokenizer(dir);
  snapshot = await engine.openSnapshot(dir);
  live = await snapshot.openLive!({ reportMs: 1 });
  server = await serveOpenAI({ live, tokenizer, names: [model, "alias"], maxQueue: 128 }, { port: 0, apiKey: "secret" });
  client = new OpenAI({ baseURL: `${server.url}/v1`, apiKey: "secret", maxRetries: 0 });
});
afterAll(async () => {
  await server.close(0);
  await engine.dispose();
});

async function post(path: string, body: unknown): Promise<{ status: number; body: never }> {
  const response = await fetch(server.url + path, {
    method: "POST",
    headers: { "content-type": "application/json", authorization: "Bearer secret" },
    body: JSON.stringify(body),
  });
  return { status: response.status, body: (await response.json()) as never };
}

async function drained(): Promise<void> {
  for (let tries = 0; tries < 200; tries++) {
    if ((await live.stats()).requests === 0) return;
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
  throw new Error("requests are left");
}

const sequence = golden.sequences[0] as number[];
const greedy = golden.greedy_24_from_sequence_0 as number[];

describe("models", () => {
  it("lists the model and finds it by name", async () => {
    const list = await client.models.list();
    expect(list.data.map(({ id }) => id)).toEqual([model]);
    expect((await client.models.retrieve("alias")).id).toBe(model);
    await expect(client.models.retrieve("other")).rejects.toThrow(OpenAI.NotFoundError);
    expect(await (await fetch(`${server.url}/health`)).json()).toMatchObject({ status: "ok" });
  });
});

describe("completions", () => {
  it("continues token ids greedily as transformers does", async () => {
    const body = { model, prompt: sequence, temperature: 0, max_tokens: 24, logprobs: 0, return_token_ids: true };
    const answer = await client.completions.create(body);
    const [choice] = answer.choices;
    expect((choice as unknown as { token_ids: number[] }).token_ids).toEqual(greedy);
    expect((choice as unknown as { prompt_token_ids: number[] }).prompt_token_ids).toEqual(sequence);
    expect(choice.text).toBe(tokenizer.decode(greedy));
    expect(choice.finish_reason).toBe("length");
    expect(answer.usage).toEqual({ prompt_tokens: 17, completion_tokens: 24, total_tokens: 41 });
    expect(choice.logprobs?.token_logprobs?.length).toBe(24);
    expect(choice.logprobs?.top_logprobs).toBeNull();
  });

  it("gives the texts, logprobs and reasons of the offline sampler, for prompts of every form, n and stops", async () => {
    const texts = ["If x = 3", "Solve é and 数"];
    const stop = ["e", "ab", 100];
    const params = samplingParams({ n: 3, maxTokens: 40, temperature: 0.9, topP: 0.95, topK: 50, seed: 11 });
    const offline = await snapshot.sample(
      texts.map((text) => ({ tokens: tokenizer.encode(text) })),
      { ...params, stopTokens: [...tokenizer.stopTokens, 100, 101], stopStrings: ["e", "ab"] },
    );
    const body = { model, n: 3, max_tokens: 40, temperature: 0.9, top_p: 0.95, top_k: 50, seed: 11, stop, stop_token_ids: [101] };
    const forms = [texts, texts.map((text) => [...tokenizer.encode(text)])];
    for (const prompt of forms) {
      const { body: answer } = await post("/v1/completions", { ...body, prompt, logprobs: 0 });
      const { choices } = answer as OpenAI.Completion;
      const flat = offline.flat();
      expect(choices.map(({ index }) => index)).toEqual([0, 1, 2, 3, 4, 5]);
      expect(choices.map(({ text }) => text)).toEqual(flat.map(({ text }) => text));
      expect(choices.map((choice) => choice.finish_reason)).toEqual(flat.map(({ stopReason }) => stopReason));
      expect(choices.map(({ logprobs }) => logprobs?.token_logprobs)).toEqual(flat.map(({ logprobs }) => [...logprobs]));
    }
    expect(offline.flat().some(({ stopReason }) => stopReason === "stop")).toBe(true);
  });

  it("streams parts that put together are the whole, with logprobs and usage", async () => {
    for (const stop of [undefined, ["q", "xyz"]]) {
      const body = { model, prompt: ["One", "Two"], n: 2, seed: 5, max_tokens: 60, logprobs: 2, echo: true, stop };
      const whole = await client.completions.create({ ...body, stream: false });
      const stream = await client.completions.create({ ...body, stream: true, stream_options: { include_usage: true } });
      const parts = whole.choices.map(() => ({
        text: "",
        tokens: [] as number[],
        offsets: [] as number[],
        reason: "" as string | null,
      }));
      let usage: OpenAI.CompletionUsage | undefined;
      let events = 0;
      for await (const event of stream) {
        events++;
        usage = event.usage ?? usage;
        for (const choice of event.choices) {
          const part = parts[choice.index];
          part.text += choice.text;
          part.tokens.push(...((choice.logprobs?.token_logprobs ?? []) as number[]));
          part.offsets.push(...(choice.logprobs?.text_offset ?? []));
          part.reason = choice.finish_reason ?? part.reason;
        }
      }
      expect(events).toBeGreaterThan(4);
      expect(parts.map(({ text }) => text)).toEqual(whole.choices.map(({ text }) => text));
      expect(parts.map(({ tokens }) => tokens)).toEqual(whole.choices.map(({ logprobs }) => logprobs?.token_logprobs));
      expect(parts.map(({ offsets }) => offsets)).toEqual(whole.choices.map(({ logprobs }) => logprobs?.text_offset));
      expect(parts.map(({ reason }) => reason)).toEqual(whole.choices.map((choice) => choice.finish_reason));
      expect(usage).toEqual(whole.usage);
    }
  });

  it("echoes the prompt with the logprobs of score, likeliest alternatives, and null first", async () => {
    const weights = new Float32Array(sequence.length - 1).fill(1);
    const [scored] = await snapshot.logprobs([{ tokens: Int32Array.from(sequence), weights }]);
    for (const max_tokens of [0, 1]) {
      const answer = await client.completions.create({
        model,
        prompt: sequence,
        echo: true,
        logprobs: 1,
        max_tokens,
        temperature: 0,
      });
      const { text, logprobs } = answer.choices[0];
      expect(text.startsWith(tokenizer.decode(sequence))).toBe(true);
      expect(logprobs?.token_logprobs?.slice(0, sequence.length)).toEqual([null, ...scored]);
      expect(logprobs?.token_logprobs?.length).toBe(sequence.length + max_tokens);
      const tops = (logprobs?.top_logprobs ?? []) as (Record<string, number> | null)[];
      expect(tops[0]).toBeNull();
      for (const [i, top] of tops.entries()) {
        if (top === null) continue;
        const best = Math.max(...Object.values(top));
        expect(best).toBeGreaterThanOrEqual(logprobs!.token_logprobs![i]);
        expect(Object.values(top)).toContain(logprobs!.token_logprobs![i]);
      }
      // What was drawn greedily is its own likeliest alternative, to the bit.
      if (max_tokens === 1) expect(Object.values(tops.at(-1)!)).toEqual([logprobs!.token_logprobs!.at(-1)]);
    }
  });

  it("gives prompt_logprobs as vLLM does", async () => {
    const { body } = await post("/v1/completions", { prompt: sequence, prompt_logprobs: 0, max_tokens: 1, temperature: 0 });
    const weights = new Float32Array(sequence.length - 1).fill(1);
    const [scored] = await snapshot.logprobs([{ tokens: Int32Array.from(sequence), weights }]);
    const rows = (body as { choices: { prompt_logprobs: (Record<string, { logprob: number }> | null)[] }[] }).choices[0]
      .prompt_logprobs;
    expect(rows[0]).toBeNull();
    expect(rows.slice(1).map((row, i) => row![sequence[i + 1]].logprob)).toEqual([...scored]);
  });

  it("draws the same with a seed however many others run, and different without", async () => {
    const ask = (seed?: number) =>
      client.completions
        .create({ model, prompt: "The answer is", max_tokens: 50, seed, n: 2 })
        .then(({ choices }) => choices.map(({ text }) => text));
    const alone = await ask(7);
    const crowd = await Promise.all(Array.from({ length: 40 }, (_, i) => ask(i % 10)));
    for (const [i, texts] of crowd.entries()) expect(texts).toEqual(i % 10 === 7 ? alone : crowd[i % 10]);
    expect(new Set(crowd.slice(0, 10).map((texts) => texts[0])).size).toBe(10);
    expect(await ask()).not.toEqual(await ask());
  });
});

describe("chat completions", () => {
  const messages = golden.chat.messages as OpenAI.ChatCompletionMessageParam[];

  it("renders the chat template and continues it", async () => {
    const tokens = tokenizer.encode(tokenizer.renderChat(messages as never));
    const [[offline]] = await snapshot.sample(
      [{ tokens }],
      samplingParams({ n: 1, temperature: 0, maxTokens: 20, stopTokens: tokenizer.stopTokens }),
    );
    const parts = messages.map((message) => ({ ...message, content: [{ type: "text", text: message.content }] }));
    for (const asked of [messages, parts as never]) {
      const answer = await client.chat.completions.create({
        model,
        messages: asked,
        temperature: 0,
        max_completion_tokens: 20,
        logprobs: true,
        top_logprobs: 2,
      });
      expect(answer.choices[0].message.content).toBe(offline.text);
      expect(answer.usage?.prompt_tokens).toBe(tokens.length);
      const content = answer.choices[0].logprobs!.content!;
      expect(content.map(({ logprob }) => logprob)).toEqual([...offline.logprobs]);
      for (const entry of content) {
        expect(entry.top_logprobs.length).toBe(2);
        expect(entry.top_logprobs[0].logprob).toBe(entry.logprob);
        expect(entry.top_logprobs[0].token).toBe(entry.token);
      }
    }
  });

  it("streams what it would answer whole, up to the end of the context", async () => {
    const body = { model, messages, seed: 3, n: 2, logprobs: true };
    const whole = await client.chat.completions.create(body);
    const stream = await client.chat.completions.create({ ...body, stream: true });
    const texts = ["", ""];
    const logprobs: number[][] = [[], []];
    const reasons: (string | null)[] = [null, null];
    for await (const { choices } of stream) {
      for (const { index, delta, finish_reason, logprobs: part } of choices) {
        texts[index] += delta.content ?? "";
        logprobs[index].push(...(part?.content ?? []).map(({ logprob }) => logprob));
        reasons[index] = finish_reason ?? reasons[index];
      }
    }
    expect(texts).toEqual(whole.choices.map(({ message }) => message.content));
    expect(logprobs).toEqual(whole.choices.map((choice) => choice.logprobs!.content!.map(({ logprob }) => logprob)));
    expect(reasons).toEqual(whole.choices.map((choice) => choice.finish_reason));
  });
});

describe("a client that goes away", () => {
  for (const stream of [true, false]) {
    it(`frees its slots, and the others go on: ${stream ? "streaming" : "waiting"}`, async () => {
      const other = client.completions.create({ model, prompt: "Hi", max_tokens: 40, seed: 1 });
      const controller = new AbortController();
      const body = { prompt: "Go on", n: 2000, max_tokens: 200, ignore_eos: true, stream };
      const going = fetch(`${server.url}/v1/completions`, {
        method: "POST",
        headers: { "content-type": "application/json", authorization: "Bearer secret" },
        body: JSON.stringify(body),
        signal: controller.signal,
      }).then((response) => response.text());
      going.catch(() => {});
      while ((await live.stats()).waiting < 1000) await new Promise((resolve) => setTimeout(resolve, 5));
      controller.abort();
      await expect(going).rejects.toThrow();
      await drained();
      expect((await other).choices[0].text).toBe(
        (await client.completions.create({ model, prompt: "Hi", max_tokens: 40, seed: 1 })).choices[0].text,
      );
    });
  }
});

describe("requests that cannot be served", () => {
  const refused: [name: string, body: object, param: string | null][] = [
    ["no prompt", {}, "prompt"],
    ["an empty prompt", { prompt: "" }, "prompt"],
    ["an empty list", { prompt: [] }, "prompt"],
    ["tokens outside the vocabulary", { prompt: [1, 512] }, "prompt"],
    ["a mixed prompt", { prompt: ["a", 1] }, "prompt"],
    ["a prompt over the context", { prompt: new Array(256).fill(1) }, "prompt"],
    ["a text that can never fit", { prompt: "x".repeat(100_000) }, "prompt"],
    ["a penalty", { prompt: "a", presence_penalty: 0.5 }, "presence_penalty"],
    ["best_of", { prompt: "a", best_of: 3 }, "best_of"],
    ["a suffix", { prompt: "a", suffix: "b" }, "suffix"],
    ["guided output", { prompt: "a", response_format: { type: "json_object" } }, "response_format"],
    ["a bias", { prompt: "a", logit_bias: { 5: 1 } }, "logit_bias"],
    ["an unknown field", { prompt: "a", temprature: 1 }, "temprature"],
    ["a strange temperature", { prompt: "a", temperature: -1 }, "temperature"],
    ["a string for a number", { prompt: "a", max_tokens: "8" }, "max_tokens"],
    ["n of 0", { prompt: "a", n: 0 }, "n"],
    ["top_p of 0", { prompt: "a", top_p: 0 }, "top_p"],
    ["an empty stop", { prompt: "a", stop: [""] }, "stop"],
    ["more than memory should hold", { prompt: "a", n: 2048, max_tokens: 255, logprobs: 20 }, "max_tokens"],
    ["too many logprobs", { prompt: "a", logprobs: 21 }, "logprobs"],
    ["stream options without a stream", { prompt: "a", stream_options: { include_usage: true } }, "stream_options"],
    ["no object", [], null],
  ];
  it.each(refused)("%s is a 400 that names the field", async (_, body, param) => {
    const answer = await post("/v1/completions", body);
    expect(answer).toMatchObject({ status: 400, body: { error: { param, type: "invalid_request_error" } } });
  });

  const refusedChat: [name: string, body: object, param: string][] = [
    ["tools", { tools: [{ type: "function", function: { name: "f" } }] }, "tools"],
    ["a schema", { response_format: { type: "json_schema", json_schema: { name: "x" } } }, "response_format"],
    ["no messages", { messages: [] }, "messages"],
    ["an unknown role", { messages: [{ role: "tool", content: "x" }] }, "messages"],
    ["an image", { messages: [{ role: "user", content: [{ type: "image_url", image_url: { url: "x" } }] }] }, "messages"],
    ["two maxima", { max_tokens: 3, max_completion_tokens: 4 }, "max_tokens"],
    ["top_logprobs alone", { top_logprobs: 2 }, "top_logprobs"],
    ["reasoning effort", { reasoning_effort: "high" }, "reasoning_effort"],
  ];
  it.each(refusedChat)("chat: %s", async (_, body, param) => {
    const answer = await post("/v1/chat/completions", { messages: [{ role: "user", content: "Hi" }], ...body });
    expect(answer).toMatchObject({ status: 400, body: { error: { param } } });
  });

  it("a wrong model is a 404; harmless fields pass", async () => {
    await expect(client.completions.create({ model: "gpt", prompt: "a" })).rejects.toThrow(OpenAI.NotFoundError);
    const harmless = {
      user: "u",
      metadata: {},
      logit_bias: {},
      frequency_penalty: 0,
      best_of: 1,
      min_p: 0,
      stop: null,
      suffix: null,
    };
    expect((await post("/v1/completions", { prompt: "a\ud800", max_tokens: 1, ...harmless })).status).toBe(200);
  });
});
