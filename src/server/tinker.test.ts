// Tests of the Tinker server over loopback with the golden model: every address, both codecs, numbered requests, restarts, limits,
// garbage; and that what it computes is what the engine computes, to the bit. The engine's worker is the compiled one in dist/.

import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { gunzipSync } from "node:zlib";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { samplingParams } from "../../test/contract/engine-contract.ts";
import { createEngine } from "../engine/create.ts";
import type { AdapterOptions, Datum, Engine, LossFn } from "../engine/types.ts";
import { GRAD_NORM_METRIC } from "../tinker-wire/protocol.ts";
import { decodeSampleResultProto } from "../tinker-wire/sampling-protobuf.ts";
import { floats, ints } from "../tinker-wire/tensor.ts";
import { encodeForwardBackward, type ForwardBackwardRequest } from "../tinker-wire/training.ts";
import { decodeForwardBackwardResultProto, encodeForwardBackwardProto } from "../tinker-wire/training-protobuf.ts";
import { ConfigError } from "../util/errors.ts";
import { serveTinker, type TinkerServer, type TinkerServerOptions } from "./tinker.ts";

const dir = fileURLToPath(new URL("../../test/golden/tiny-qwen3/", import.meta.url));
const PROTO = "application/x-protobuf";
const PROMPT = [10, 20, 30, 40, 50];
const SEQUENCES = [
  [10, 20, 30, 40, 50, 254, 117, 370, 449, 346],
  [10, 20, 30, 40, 50, 254, 483, 404],
];
const LORA: AdapterOptions = {
  rank: 4,
  alpha: 32,
  seed: 1,
  targets: ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"],
};
const ADAM = { learning_rate: 1e-2, beta1: 0.9, beta2: 0.95, eps: 1e-8, weight_decay: 0.01, grad_clip_norm: 1 };
const scratch = mkdtempSync(join(tmpdir(), "rzero-tinker-"));
afterAll(() => rmSync(scratch, { recursive: true, force: true }));

type Reply = Record<string, never> & { [name: string]: never };

/** A server with an engine of its own, and a client of it. */
class Place {
  readonly engine: Engine;
  readonly server: TinkerServer;
  readonly log: string[];

  static async start(options: Partial<TinkerServerOptions> & { stateDir: string }): Promise<Place> {
    const engine = createEngine({ kind: "local", threads: 1, slots: 16, dtype: "f32" });
    const log: string[] = [];
    const server = await serveTinker({
      ...{ engine, baseDir: dir, names: ["tiny-qwen3"], port: 0, pollMs: 20_000, log: (line) => log.push(line) },
      ...options,
    });
    return new Place(engine, server, log);
  }

  private constructor(engine: Engine, server: TinkerServer, log: string[]) {
    this.engine = engine;
    this.server = server;
    this.log = log;
  }

  async end(): Promise<void> {
    await this.server.close();
    await this.engine.dispose();
  }

  ask(method: string, path: string, body?: unknown, headers: Record<string, string> = {}): Promise<Response> {
    const raw = typeof body === "string" || body instanceof Uint8Array;
    return fetch(`${this.server.url}/api/v1/${path}`, {
      method,
      redirect: "manual",
      headers: { ...(body === undefined ? {} : { "content-type": "application/json" }), ...headers },
      body: body === undefined ? undefined : raw ? (body as BodyInit) : JSON.stringify(body),
    });
  }

  async post(path: string, body: unknown, status = 200): Promise<Reply> {
    const response = await this.ask("POST", path, body);
    const reply = (await response.json()) as Reply;
    if (response.status !== status) throw new Error(`${path}: ${response.status} ${JSON.stringify(reply)}`);
    return reply;
  }

  async result(path: string, body: unknown): Promise<Reply> {
    const { request_id } = await this.post(path, body);
    return this.post("retrieve_future", { request_id });
  }

  async session(): Promise<string> {
    return (await this.post("create_session", { tags: [], sdk_version: "0.25.0", type: "create_session" })).session_id;
  }

  async model(rank: number, seed = 1): Promise<string> {
    const session_id = await this.session();
    const lora_config = { rank, seed, train_mlp: true, train_attn: true, train_unembed: false };
    const body = { session_id, model_seq_id: 0, base_model: "tiny-qwen3", lora_config, type: "create_model" };
    return (await this.result("create_model", body)).model_id;
  }
}

const float = (values: number[]) => ({ data: values, dtype: "float32", shape: [values.length] });
const datumOf = (tokens: number[], inputs: Record<string, number[]>) => ({
  model_input: { chunks: [{ type: "encoded_text", tokens: tokens.slice(0, -1) }] },
  loss_fn_inputs: {
    target_tokens: { data: tokens.slice(1), dtype: "int64", shape: [tokens.length - 1] },
    ...Object.fromEntries(Object.entries(inputs).map(([name, values]) => [name, float(values)])),
  },
});
const weightsOf = (tokens: number[]) => tokens.slice(1).map((_, t) => (t < PROMPT.length - 1 ? 0 : t % 2 === 0 ? 0.5 : -0.25));
const maskOf = (tokens: number[]) => tokens.slice(1).map((_, t) => (t < PROMPT.length - 1 ? 0 : 1));
const passOf = (model_id: string, seq_id: number) => ({
  ...{ model_id, seq_id },
  forward_backward_input: {
    data: SEQUENCES.map((tokens) => datumOf(tokens, { weights: weightsOf(tokens), mask: maskOf(tokens) })),
    loss_fn: "cross_entropy",
  },
});
const localData: Datum[] = SEQUENCES.map((tokens) => ({
  tokens: Int32Array.from(tokens),
  weights: Float32Array.from(maskOf(tokens)),
}));
/** The loss of `passOf` as a local program writes it. */
const localLoss: LossFn = (logprobs, { tokens }) => {
  const dLogprobs = Float32Array.from(weightsOf([...tokens]), (weight) => -weight);
  return { loss: dLogprobs.reduce((sum, d, t) => sum + d * logprobs[t], 0), dLogprobs, metrics: {} };
};

let place: Place;
beforeAll(async () => {
  place = await Place.start({ stateDir: join(scratch, "shared") });
});
afterAll(() => place.end());

describe("training", () => {
  for (const [name, rank, adapter] of [
    ["an adapter", 4, LORA],
    ["all weights", 0, "none"],
  ] as const) {
    it(`gives the bits of the local engine: ${name}`, async () => {
      const model = await place.model(rank);
      const trainer = await place.engine.openTrainer(dir, { adapter });
      for (let step = 0; step < 2; step++) {
        // Two passes per step: their gradients add up.
        for (const part of [1, 2]) {
          const { loss_fn_outputs, metrics } = await place.result("forward_backward", passOf(model, 3 * step + part));
          const seen: number[][] = [];
          const { loss } = await trainer.forwardBackward(localData, (logprobs, datum) => {
            seen.push([...logprobs]);
            return localLoss(logprobs, datum);
          });
          expect((loss_fn_outputs as { logprobs: { data: number[] } }[]).map(({ logprobs }) => logprobs.data)).toEqual(seen);
          expect(metrics["loss:sum"]).toBeCloseTo(loss, 6);
        }
        const stepped = await place.result("optim_step", { model_id: model, seq_id: 3 * step + 3, adam_params: ADAM });
        const { gradNorm } = await trainer.optimStep({
          ...{ learningRate: 1e-2, beta1: 0.9, beta2: 0.95, epsilon: 1e-8, weightDecay: 0.01, clipNorm: 1 },
        });
        expect(stepped.metrics[GRAD_NORM_METRIC]).toBe(gradNorm);
      }
      const saved = await place.result("save_weights_for_sampler", { model_id: model, seq_id: 7, sampling_session_seq_id: 0 });
      expect(saved).toMatchObject({ path: null, type: "save_weights_for_sampler", sampling_session_id: expect.any(String) });
      const sampled = await place.result("asample", {
        ...{ sampling_session_id: saved.sampling_session_id, seq_id: 0, num_samples: 3, type: "sample", prompt_logprobs: true },
        prompt: { chunks: [{ type: "encoded_text", tokens: PROMPT }] },
        sampling_params: { max_tokens: 12, temperature: 1, seed: 7, stop: [2] },
      });
      const snapshot = await trainer.snapshot();
      const params = samplingParams({ n: 3, maxTokens: 12, seed: 7, stopTokens: [2] });
      const [local] = await snapshot.sample([{ tokens: Int32Array.from(PROMPT) }], params);
      expect(sampled.sequences).toEqual(
        local.map(({ tokens, logprobs, stopReason }) => ({
          ...{ tokens: [...tokens], logprobs: [...logprobs], stop_reason: stopReason },
        })),
      );
      const ones = new Float32Array(PROMPT.length - 1).fill(1);
      const [scores] = await snapshot.logprobs([{ tokens: Int32Array.from(PROMPT), weights: ones }]);
      expect(sampled.prompt_logprobs).toEqual([null, ...scores]);
      const forward = { model_id: model, seq_id: 8, forward_input: passOf(model, 8).forward_backward_input };
      const { loss_fn_outputs } = await place.result("forward", forward);
      expect((loss_fn_outputs as { logprobs: { data: number[] } }[]).map(({ logprobs }) => logprobs.data)).toEqual(
        (await snapshot.logprobs(localData)).map((logprobs) => [...logprobs]),
      );
      await trainer.dispose();
    });
  }

  it("says the same in protobuf as in JSON", async () => {
    const [json, proto] = [await place.model(4), await place.model(4)];
    const wire = (modelId: string, seqId: number, forwardOnly = false): ForwardBackwardRequest => ({
      ...{ modelId, seqId, lossFn: "cross_entropy", forwardOnly },
      data: SEQUENCES.map((tokens) => ({
        tokens: Int32Array.from(tokens.slice(0, -1)),
        inputs: {
          target_tokens: ints(Int32Array.from(tokens.slice(1))),
          weights: floats(Float32Array.from(weightsOf(tokens))),
          mask: floats(Float32Array.from(maskOf(tokens))),
        },
      })),
    });
    const { loss_fn_outputs, metrics } = await place.result("forward_backward", encodeForwardBackward(wire(json, 1)));
    for (const [seq, forwardOnly] of [
      [1, false],
      [2, true],
    ] as const) {
      const body = encodeForwardBackwardProto(wire(proto, seq, forwardOnly));
      const submitted = await place.ask("POST", "forward_backward", body, { "content-type": PROTO });
      const { request_id } = (await submitted.json()) as Reply;
      const response = await place.ask("POST", "retrieve_future", { request_id }, { accept: `${PROTO}, application/json` });
      expect(response.headers.get("content-type")).toBe(PROTO);
      const result = decodeForwardBackwardResultProto(new Uint8Array(await response.arrayBuffer()), "result");
      expect(result.metrics).toEqual(metrics);
      const data = result.outputs.map(({ logprobs }) => [...logprobs.data]);
      expect(data).toEqual((loss_fn_outputs as { logprobs: { data: number[] } }[]).map(({ logprobs }) => logprobs.data));
    }
    const norms = [json, proto].map((model_id) => place.result("optim_step", { model_id, seq_id: 3, adam_params: ADAM }));
    const [a, b] = await Promise.all(norms);
    expect(a.metrics).toEqual(b.metrics);
  });

  it("sums each loss, with the bounds of the ratio, and tells it per token", async () => {
    const model = await place.model(4);
    const tokens = SEQUENCES[0];
    const once = async (seq: number, loss_fn: string, inputs: Record<string, number[]>, loss_fn_config?: object) => {
      const forward_backward_input = { data: [datumOf(tokens, inputs)], loss_fn, loss_fn_config };
      const reply = await place.result("forward_backward", { model_id: model, seq_id: seq, forward_backward_input });
      const [{ elementwise_loss, logprobs }] = reply.loss_fn_outputs as { [name: string]: { data: number[] } }[];
      return { loss: reply.metrics["loss:sum"] as number, each: elementwise_loss.data, logprobs: logprobs.data };
    };
    const length = tokens.length - 1;
    const { logprobs } = await once(1, "cross_entropy", {});
    const old = logprobs.map((value, t) => value + (t % 3 === 0 ? 0.5 : t % 3 === 1 ? -0.5 : 0));
    const advantages = Array.from({ length }, (_, t) => (t % 2 === 0 ? 1 : -0.5));
    const expected = {
      importance_sampling: (rho: number, a: number) => -rho * a,
      ppo: (rho: number, a: number) => -Math.min(rho * a, Math.min(Math.max(rho, 0.9), 1.1) * a),
      cispo: (rho: number, a: number, lp: number) => -Math.min(Math.max(rho, 0.9), 1.1) * a * lp,
    };
    let seq = 2;
    for (const [name, formula] of Object.entries(expected)) {
      const config = name === "importance_sampling" ? undefined : { clip_low_threshold: 0.9, clip_high_threshold: 1.1 };
      const { loss, each } = await once(seq++, name, { logprobs: old, advantages }, config);
      const wanted = logprobs.map((lp, t) => formula(Math.exp(lp - Math.fround(old[t])), advantages[t], lp));
      each.forEach((value, t) => {
        expect(value).toBeCloseTo(wanted[t], 5);
      });
      expect(loss).toBeCloseTo(
        wanted.reduce((sum, value) => sum + value, 0),
        4,
      );
    }
  });

  it("drops a gradient that is too large where it may, and says so", async () => {
    const model = await place.model(4);
    await place.result("forward_backward", passOf(model, 1));
    const skipped = await place.result("optim_step", { model_id: model, seq_id: 2, adam_params: { ...ADAM, skip_above: 1e-9 } });
    expect(skipped.metrics).toMatchObject({ "rzero/applied": 0 });
    const empty = await place.result("optim_step", { model_id: model, seq_id: 3, adam_params: ADAM });
    expect(empty.metrics).toMatchObject({ "rzero/applied": 1, "rzero/grad_norm": 0 });
  });
});

describe("numbered requests", () => {
  it("answers the same request with the same future, and another body with 409", async () => {
    const model = await place.model(4);
    const first = await place.post("forward_backward", passOf(model, 1));
    expect(await place.post("forward_backward", passOf(model, 1))).toEqual(first);
    const other = { ...passOf(model, 1), type: "other" };
    expect(await place.post("forward_backward", other, 409)).toEqual({ detail: "Training request sequence number was reused" });
    await place.post("optim_step", { model_id: model, seq_id: 5, adam_params: ADAM });
    await place.post("optim_step", { model_id: model, seq_id: 4, adam_params: ADAM }, 409);
    const session_id = await place.session();
    const create = { session_id, model_seq_id: 0, base_model: "tiny-qwen3", lora_config: { rank: 2 } };
    expect(await place.post("create_model", create)).toEqual(await place.post("create_model", create));
    await place.post("create_model", { ...create, lora_config: { rank: 3 } }, 409);
  });

  it("knows a future that never was from one that is gone", async () => {
    expect(await place.post("retrieve_future", { request_id: "999999" }, 404)).toEqual({ detail: "Future not found" });
    await place.post("retrieve_future", { request_id: "1-99999" }, 404);
    await place.post("retrieve_future", { request_id: 7 }, 422);
  });
});

describe("saved weights", () => {
  it("go on in another model, with their moments or without", async () => {
    const model = await place.model(4);
    await place.result("forward_backward", passOf(model, 1));
    await place.result("optim_step", { model_id: model, seq_id: 2, adam_params: ADAM });
    const { path } = await place.result("save_weights", { model_id: model, seq_id: 3, path: "first" });
    expect(path).toBe(`tinker://${model}/weights/first`);
    await place.post("save_weights", { model_id: model, seq_id: 4, path: "first" }, 409);
    await place.post("save_weights", { model_id: model, seq_id: 4, path: "../first" }, 422);
    const copies = [await place.model(4, 9), await place.model(4, 9)];
    for (const [i, optimizer] of [true, false].entries())
      await place.result("load_weights", { model_id: copies[i], path, optimizer, seq_id: 1 });
    const norms = [];
    for (const [i, model_id] of [model, ...copies].entries()) {
      const seq_id = i === 0 ? 5 : 2;
      await place.result("forward_backward", passOf(model_id, seq_id));
      await place.result("optim_step", { model_id, seq_id: seq_id + 1, adam_params: ADAM });
      await place.result("forward_backward", passOf(model_id, seq_id + 2));
      const { metrics } = await place.result("optim_step", { model_id, seq_id: seq_id + 3, adam_params: ADAM });
      norms.push(metrics["rzero/grad_norm"]);
    }
    expect(norms[1]).toBe(norms[0]);
    expect(norms[2]).not.toBe(norms[0]);
    const smaller = await place.model(2);
    const refused = await place.result("load_weights", { model_id: smaller, path, optimizer: true, seq_id: 1 });
    expect(refused).toMatchObject({ category: "user", error: expect.stringContaining("another model") });
    expect(await place.result("forward_backward", passOf(smaller, 2))).toHaveProperty("loss_fn_outputs");
    await place.post("load_weights", { model_id: smaller, path: `tinker://${model}/weights/none`, seq_id: 3 }, 404);
  });

  it("are listed, described, downloaded, published, deleted", async () => {
    const model = await place.model(4);
    await place.result("save_weights", { model_id: model, seq_id: 1, path: "state" });
    const { path } = await place.result("save_weights_for_sampler", {
      model_id: model,
      seq_id: 2,
      path: "final",
      ttl_seconds: 900,
    });
    expect(path).toBe(`tinker://${model}/sampler_weights/final`);
    expect(await place.post("weights_info", { tinker_path: path })).toEqual({
      ...{ base_model: "tiny-qwen3", is_lora: true, lora_rank: 4 },
      ...{ train_attn: true, train_mlp: true, train_unembed: false },
    });
    const archive = await place.ask("GET", `training_runs/${model}/checkpoints/final/archive`);
    expect(archive.status).toBe(302);
    expect(Date.parse(archive.headers.get("expires") ?? "")).toBeGreaterThan(Date.now());
    const location = archive.headers.get("location") as string;
    const files = untar(gunzipSync(Buffer.from(await (await fetch(location)).arrayBuffer())));
    expect([...files.keys()]).toEqual(expect.arrayContaining(["adapter_config.json", "adapter_model.safetensors"]));
    const config = JSON.parse(`${files.get("adapter_config.json")}`);
    expect(config).toMatchObject({ r: 4, lora_alpha: 32, base_model_name_or_path: "tiny-qwen3" });
    expect((await fetch(location.replace(/.$/, (last) => (last === "0" ? "1" : "0")))).status).toBe(403);
    const at = `training_runs/${model}/checkpoints/sampler_weights/final`;
    expect((await place.ask("POST", `${at}/publish`)).status).toBe(204);
    expect((await place.ask("PUT", `${at}/ttl`, { ttl_seconds: null })).status).toBe(204);
    const { checkpoints } = (await (await place.ask("GET", `training_runs/${model}/checkpoints`)).json()) as Reply;
    expect(checkpoints).toMatchObject([
      { checkpoint_id: "state", checkpoint_type: "training", public: false },
      { checkpoint_id: "final", checkpoint_type: "sampler", public: true, expires_at: null, tinker_path: path },
    ]);
    const run = (await (await place.ask("GET", `training_runs/${model}`)).json()) as Reply;
    expect(run).toMatchObject({ is_lora: true, lora_rank: 4, last_sampler_checkpoint: { checkpoint_id: "final" } });
    expect(await (await place.ask("GET", `models/${model}/checkpoints`)).json()).toEqual({ checkpoints });
    const info = await place.post("get_info", { model_id: model });
    expect(info).toMatchObject({ is_lora: true, lora_rank: 4, model_data: { tokenizer_id: dir, model_name: "tiny-qwen3" } });
    const session_id = await place.session();
    const open = { session_id, sampling_session_seq_id: 0, model_path: path };
    const { sampling_session_id } = await place.post("create_sampling_session", open);
    expect(await place.post("create_sampling_session", open)).toMatchObject({ sampling_session_id });
    const sampler = await (await place.ask("GET", `samplers/${sampling_session_id}`)).json();
    expect(sampler).toEqual({ sampler_id: sampling_session_id, base_model: "tiny-qwen3", model_path: path });
    const session = await (await place.ask("GET", `sessions/${session_id}`)).json();
    expect(session).toEqual({ training_run_ids: [], sampler_ids: [sampling_session_id] });
    await place.post("create_sampling_session", { ...open, base_model: "tiny-qwen3" }, 400);
    await place.post("create_sampling_session", { ...open, model_path: `tinker://${model}/weights/state` }, 400);
    const page = (await (await place.ask("GET", "training_runs?limit=1")).json()) as Reply;
    expect(page.training_runs).toHaveLength(1);
    expect((await place.ask("DELETE", `training_runs/${model}/checkpoints/final`)).status).toBe(400);
    expect((await place.ask("DELETE", at)).status).toBe(204);
    expect((await place.ask("DELETE", at)).status).toBe(404);
    await place.post("weights_info", { tinker_path: path }, 404);
  });
});

/** Files of a tar archive by name. */
function untar(bytes: Buffer): Map<string, Buffer> {
  const files = new Map<string, Buffer>();
  for (let at = 0; at + 512 <= bytes.length && bytes[at] !== 0; ) {
    const name = bytes.toString("latin1", at, at + 100).replace(/\0.*$/s, "");
    const size = Number.parseInt(bytes.toString("latin1", at + 124, at + 135), 8);
    files.set(name, bytes.subarray(at + 512, at + 512 + size));
    at += 512 + Math.ceil(size / 512) * 512;
  }
  return files;
}

describe("sampling", () => {
  const ask = (more: object, params: object = {}) => ({
    ...{ base_model: "tiny-qwen3", num_samples: 1, prompt: { chunks: [{ type: "encoded_text", tokens: PROMPT }] } },
    ...{ sampling_params: { max_tokens: 6, seed: 3, ...params }, ...more },
  });

  it("is a function of seed, prompt and index, with forced beginnings", async () => {
    const whole = await place.result("asample", ask({ num_samples: 4 }));
    const later = await place.result("asample", ask({ num_samples: 2 }, { first_sample: 2 }));
    expect(later.sequences).toEqual((whole.sequences as unknown[]).slice(2));
    const forced = await place.result("asample", ask({ num_samples: 3 }, { forced_prefix: [7, 8], stop: [8] }));
    const snapshot = await place.engine.openSnapshot(dir);
    const params = samplingParams({ n: 3, maxTokens: 6, seed: 3, forcedPrefix: [7, 8], stopTokens: [8] });
    const [local] = await snapshot.sample([{ tokens: Int32Array.from(PROMPT) }], params);
    const plain = local.map(({ tokens, logprobs }) => [[...tokens], [...logprobs]]);
    expect((forced.sequences as { tokens: number[]; logprobs: number[] }[]).map((s) => [s.tokens, s.logprobs])).toEqual(plain);
    const greedy = await place.result("asample", ask({}, { temperature: 0, seed: undefined, top_k: -1, top_p: 1 }));
    expect(greedy).toEqual(await place.result("asample", ask({}, { temperature: 0, top_k: 5 })));
  });

  it("scores prompts, with the likeliest tokens, in both codecs", async () => {
    const body = ask({ topk_prompt_logprobs: 2, prompt_logprobs: true, num_samples: 2 });
    const json = await place.result("asample", body);
    const { request_id } = await place.post("asample", body);
    const response = await place.ask("POST", "retrieve_future", { request_id }, { accept: PROTO });
    const proto = decodeSampleResultProto(new Uint8Array(await response.arrayBuffer()), "result");
    expect(proto.sequences.map(({ tokens, logprobs }) => ({ tokens: [...tokens], logprobs: [...(logprobs ?? [])] }))).toEqual(
      (json.sequences as { tokens: number[]; logprobs: number[] }[]).map(({ tokens, logprobs }) => ({ tokens, logprobs })),
    );
    const scores = json.prompt_logprobs as (number | null)[];
    expect(scores).toHaveLength(PROMPT.length);
    expect([...(proto.promptLogprobs ?? [])].slice(1)).toEqual(scores.slice(1));
    const top = json.topk_prompt_logprobs as ([number, number][] | null)[];
    expect(top[0]).toBeNull();
    expect(top.slice(1).every((place) => place?.length === 2 && place[0][1] >= place[1][1])).toBe(true);
    expect(proto.topkPromptLogprobs?.slice(1)).toEqual(top.slice(1));
    const only = await place.result("asample", ask({ prompt_logprobs: true }, { max_tokens: 0 }));
    expect(only.prompt_logprobs).toEqual(scores);
  });

  it("refuses what cannot be sampled", async () => {
    await place.post("asample", ask({ base_model: "other" }), 400);
    await place.post("asample", ask({ sampling_session_id: "sampling_0", base_model: undefined }), 404);
    await place.post("asample", { ...ask({}), prompt: 1 }, 422);
    await place.post("asample", ask({}, { max_tokens: 0 }), 422);
    await place.post("asample", { ...ask({}), prompt: { chunks: [{ type: "encoded_text", tokens: [99_999] }] } }, 422);
    const long = { chunks: [{ type: "encoded_text", tokens: new Array(5000).fill(1) }] };
    await place.post("asample", { ...ask({}), prompt: long }, 422);
  });
});

describe("restart", () => {
  it("a run goes on over restarts at every place, with the same bytes", async () => {
    const requests = (model_id: string) => [
      ["forward_backward", passOf(model_id, 1)],
      ["optim_step", { model_id, seq_id: 2, adam_params: ADAM }],
      ["save_weights", { model_id, seq_id: 3, path: "kept" }],
      ["forward_backward", passOf(model_id, 4)],
      ["forward_backward", passOf(model_id, 5)],
      ["optim_step", { model_id, seq_id: 6, adam_params: ADAM }],
      ["load_weights", { model_id, seq_id: 7, path: `tinker://${model_id}/weights/kept`, optimizer: true }],
      ["forward_backward", passOf(model_id, 8)],
      ["optim_step", { model_id, seq_id: 9, adam_params: ADAM }],
      ["save_weights_for_sampler", { model_id, seq_id: 10, sampling_session_seq_id: 0 }],
    ];
    const sample = (sampling_session_id: string) => ({
      ...{ sampling_session_id, seq_id: 0, num_samples: 2, prompt: { chunks: [{ tokens: PROMPT }] } },
      sampling_params: { max_tokens: 8, seed: 5 },
    });
    const run = async (stateDir: string, restartEachTime: boolean) => {
      const open = () => Place.start({ stateDir });
      let here = await open();
      const model = await here.model(4);
      const results: unknown[] = [];
      let session = "";
      for (const [path, body] of requests(model) as [string, object][]) {
        const { request_id } = await here.post(path, body);
        if (restartEachTime) {
          await here.end();
          here = await open();
          expect((await here.post(path, body)).request_id).toBe(request_id);
        }
        const result = await here.post("retrieve_future", { request_id });
        session = result.sampling_session_id ?? session;
        results.push({ ...result, path: undefined, sampling_session_id: undefined });
      }
      if (restartEachTime) {
        await here.end();
        here = await open();
      }
      results.push(await here.result("asample", sample(session)));
      const lost = await here.ask("POST", "retrieve_future", { request_id: "1-12345" });
      expect(lost.status).toBe(restartEachTime ? 410 : 404);
      await here.end();
      return results;
    };
    const plain = await run(join(scratch, "plain"), false);
    expect(await run(join(scratch, "restarts"), true)).toEqual(plain);
  });

  it("a state directory serves its own base model alone", async () => {
    const stateDir = join(scratch, "base");
    await (await Place.start({ stateDir })).end();
    const engine = createEngine({ kind: "local", threads: 1 });
    const other = fileURLToPath(new URL("../../test/golden/tiny-llama3/", import.meta.url));
    const wrong = serveTinker({ engine, baseDir: other, names: ["x"], stateDir, port: 0 });
    await expect(wrong).rejects.toThrow(ConfigError);
    await engine.dispose();
  });

  it("a silent session gives its memory back and loses nothing, then its place", async () => {
    const here = await Place.start({ stateDir: join(scratch, "silent"), sessionMs: 1, sweepMs: 20, maxModels: 1 });
    const model = await here.model(4);
    const plain = await place.model(4);
    const silence = () => new Promise((resolve) => setTimeout(resolve, 200));
    const requests = (id: string) => [
      ["forward_backward", passOf(id, 1)],
      ["optim_step", { model_id: id, seq_id: 2, adam_params: ADAM }],
      ["forward_backward", passOf(id, 3)],
      ["optim_step", { model_id: id, seq_id: 4, adam_params: ADAM }],
      ["forward_backward", passOf(id, 5)],
    ];
    for (const [i, [path, body]] of (requests(model) as [string, object][]).entries()) {
      expect(await here.result(path, body)).toEqual(await place.result(path, requests(plain)[i][1]));
      await silence();
    }
    expect(await here.model(2)).toMatch(/^model_/);
    await here.post("forward_backward", passOf(model, 6), 404);
    expect(here.log).toEqual([]);
    await here.end();
  });

  it("a full server takes a model again when one was unloaded", async () => {
    const here = await Place.start({ stateDir: join(scratch, "one"), maxModels: 1 });
    const model = await here.model(4);
    const session_id = await here.session();
    const create = { session_id, model_seq_id: 0, base_model: "tiny-qwen3", lora_config: { rank: 2 } };
    const full = await here.post("create_model", create, 400);
    expect(full.detail).toContain("Maximum number of models (1)");
    expect(await here.result("unload_model", { model_id: model })).toEqual({
      ...{ model_id: model, status: "unloaded", type: "unload_model" },
    });
    await here.post("forward_backward", passOf(model, 1), 404);
    expect(await here.result("create_model", create)).toMatchObject({ base_model: "tiny-qwen3" });
    await here.end();
  });
});

describe("limits and garbage", () => {
  it("asks for the key", async () => {
    const here = await Place.start({ stateDir: join(scratch, "key"), apiKey: "tml-secret" });
    expect((await here.ask("GET", "healthz")).status).toBe(200);
    const denied = await here.ask("GET", "get_server_capabilities");
    expect([denied.status, await denied.json()]).toEqual([401, { detail: expect.stringContaining("x-api-key") }]);
    expect((await here.ask("GET", "get_server_capabilities", undefined, { "x-api-key": "tml-other" })).status).toBe(401);
    const let_in = await here.ask("GET", "get_server_capabilities", undefined, { "x-api-key": "tml-secret" });
    expect(await let_in.json()).toMatchObject({ supported_models: [{ model_name: "tiny-qwen3", max_context_length: 256 }] });
    await here.end();
  });

  it("holds no more requests than it may, and polls end", async () => {
    const here = await Place.start({ stateDir: join(scratch, "full"), maxPending: 1, pollMs: 30 });
    const sample = (seed: number) => ({
      ...{ base_model: "tiny-qwen3", num_samples: 256, prompt: { chunks: [{ tokens: PROMPT }] } },
      sampling_params: { max_tokens: 400, seed },
    });
    const { request_id } = await here.post("asample", sample(1));
    const refused = await here.ask("POST", "asample", sample(2));
    expect([refused.status, refused.headers.get("retry-after")]).toEqual([429, "1"]);
    const wait = await here.ask("POST", "retrieve_future", { request_id });
    expect([wait.status, await wait.json()]).toEqual([
      408,
      expect.objectContaining({ type: "try_again", queue_state: "active" }),
    ]);
    await here.end();
  });

  it("answers every wrong body with 4xx and goes on", async () => {
    const model = await place.model(2);
    const good = passOf(model, 1);
    const bad: unknown[] = [
      ...["", "{", "[]", "null", '"x"', "\u0000", "[[[[[[", '{"model_id":1}'],
      { ...good, model_id: 5 },
      { ...good, seq_id: -1 },
      { ...good, seq_id: 1.5 },
      { ...good, forward_backward_input: { data: [], loss_fn: "cross_entropy" } },
      { ...good, forward_backward_input: { ...good.forward_backward_input, loss_fn: "nope" } },
      { ...good, forward_backward_input: { ...good.forward_backward_input, loss_fn: "ppo" } },
      { ...good, forward_backward_input: { ...good.forward_backward_input, loss_fn_config: { clip: 1 } } },
      ...[
        { target_tokens: { data: [1], dtype: "int64", shape: [1] } },
        { target_tokens: { data: [1, 2, 3], dtype: "int64", shape: [3] } },
        { target_tokens: { data: [20, 30, 600], dtype: "int64", shape: [3] } },
        { target_tokens: { data: [20, 30, 40], dtype: "int64", shape: [3] }, weights: float([1, 2]) },
        { target_tokens: { data: [20, 30, 40], dtype: "int64", shape: [3] }, weights: float([1, 1, 1]), mask: float([0, 1, 1]) },
      ].map((loss_fn_inputs) => ({
        ...good,
        forward_backward_input: {
          data: [{ model_input: { chunks: [{ tokens: [10, 20, 30] }] }, loss_fn_inputs }],
          loss_fn: "cross_entropy",
        },
      })),
    ];
    for (const body of bad) {
      const response = await place.ask("POST", "forward_backward", body);
      expect([body, response.status, await response.json()]).toEqual([
        body,
        422,
        { detail: [expect.objectContaining({ loc: expect.any(Array) })] },
      ]);
    }
    for (const bytes of [new Uint8Array(7).fill(255), Uint8Array.of(10, 200, 1), Uint8Array.of(26, 3, 10, 255, 1)])
      expect((await place.ask("POST", "forward_backward", bytes, { "content-type": PROTO })).status).toBe(422);
    expect((await place.ask("POST", "forward_backward", "{}", { "content-type": "text/plain" })).status).toBe(415);
    expect((await place.ask("POST", "optim_step", "{}", { "content-encoding": "zstd" })).status).toBe(415);
    await place.post("optim_step", { model_id: model, seq_id: 1, adam_params: { beta1: 1 } }, 422);
    await place.post("forward_backward", { ...good, model_id: "model_none" }, 404);
    expect(await place.result("forward_backward", good)).toHaveProperty("loss_fn_outputs");
  });
});

describe("the recorded exchange with SkyRL", () => {
  interface Recorded {
    readonly method: string;
    readonly path: string;
    readonly status: number;
    readonly req?: Record<string, unknown>;
    readonly res: unknown;
  }
  const log = JSON.parse(
    readFileSync(fileURLToPath(new URL("../../test/golden/tinker/skyrl-jax.json", import.meta.url)), "utf8"),
  ) as Recorded[];
  /** Where this server answers otherwise, by place in the log: it loads weights at any time, has room, and tells failures with 200. */
  const OTHER: Record<number, number> = { 41: 200, 49: 200 };

  it("gets answers of the same shape", async () => {
    const here = await Place.start({ stateDir: join(scratch, "replay") });
    const ids = new Map<string, string>();
    const ours = (value: unknown): unknown =>
      JSON.parse(
        [...ids].reduce(
          (text, [theirs, own]) => text.replaceAll(`${theirs}"`, `${own}"`).replaceAll(`${theirs}/`, `${own}/`),
          JSON.stringify(value),
        ),
      );
    const learn = (theirs: unknown, own: unknown): void => {
      if (typeof theirs !== "object" || theirs === null) return;
      for (const [name, value] of Object.entries(theirs))
        if (/^(session|model|request|sampling_session)_id$/.test(name) && typeof value === "string")
          ids.set(name === "request_id" ? `"${value}` : value, `${name === "request_id" ? '"' : ""}${(own as Reply)[name]}`);
    };
    for (const [i, { method, path, status, req, res }] of log.entries()) {
      const body = req === undefined ? undefined : ours(req);
      const [to] = [[...ids].reduce((text, [theirs, own]) => text.replace(theirs, own), path)];
      const response = await here.ask(method, to.replace("/api/v1/", ""), body);
      const text = await response.text();
      expect([i, path, response.status]).toEqual([i, path, OTHER[i] ?? status]);
      if (OTHER[i] !== undefined || text === "") continue;
      learn(res, JSON.parse(text));
      missing(res, JSON.parse(text), `${i} ${path}`);
    }
    await here.end();
  });

  /** What they told and we do not, or of another kind. */
  function missing(theirs: unknown, own: unknown, where: string): void {
    if (theirs === null) return;
    expect([where, kindOf(own)]).toEqual([where, kindOf(theirs)]);
    if (Array.isArray(theirs)) {
      if (theirs.length > 0 && (own as unknown[]).length > 0) missing(theirs.at(-1), (own as unknown[]).at(-1), `${where}[]`);
    } else if (typeof theirs === "object")
      for (const [name, value] of Object.entries(theirs))
        if (!["lora_config", "ctx", "url", "input"].includes(name) && !name.startsWith("skyrl.ai/"))
          missing(value, (own as Reply)[name], `${where}.${name}`);
  }

  function kindOf(value: unknown): string {
    return Array.isArray(value) ? "list" : value === null ? "null" : typeof value;
  }
});
