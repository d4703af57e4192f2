// Weights that come and go while a server runs: what they answer is what the engine gives, and nothing outside of one folder is opened.
// The engine's worker is the compiled one in dist/.

import { mkdtempSync, rmSync, symlinkSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { adamW, datumOf, nll } from "../../test/contract/engine-contract.ts";
import { createEngine } from "../engine/create.ts";
import type { Engine, Trainer } from "../engine/types.ts";
import type { HttpServer } from "./http.ts";
import { serveOpenAI } from "./openai.ts";

const dir = fileURLToPath(new URL("../../test/golden/tiny-qwen3/", import.meta.url));
const root = mkdtempSync(join(tmpdir(), "rzero-weights-"));
const prompt = { tokens: Int32Array.of(40, 41, 42) };
let engine: Engine;
let trainer: Trainer;
let server: HttpServer;
let open = 0;

beforeAll(async () => {
  engine = createEngine({
    kind: "local",
    threads: 2,
    dtype: "f32",
    lora: { rank: 2, alpha: 8, targets: ["q_proj", "down_proj"] },
  });
  trainer = await engine.openTrainer(dir);
  const tokenizer = await engine.openTokenizer(dir);
  const opened = async (path: string) => {
    const snapshot = await engine.openSnapshot(path);
    const live = await snapshot.openLive!({ reportMs: 1 });
    open++;
    return { live, dispose: async () => void open-- };
  };
  const { live } = await opened(dir);
  open = 0;
  server = await serveOpenAI({ live, tokenizer, names: ["tiny"], maxQueue: 8 }, { port: 0 }, { root, base: dir, open: opened });
});
afterAll(async () => {
  await server.close(0);
  await engine.dispose();
  rmSync(root, { recursive: true, force: true });
});

async function post(path: string, body: object): Promise<{ status: number; body: Record<string, unknown> }> {
  const headers = { "content-type": "application/json" };
  const response = await fetch(server.url + path, { method: "POST", headers, body: JSON.stringify(body) });
  return { status: response.status, body: (await response.json()) as Record<string, unknown> };
}

const get = async (path: string) => (await (await fetch(server.url + path)).json()) as Record<string, unknown>;
const params = { n: 1, maxTokens: 12, temperature: 1, topP: 1, topK: 0, stopTokens: [], seed: 3 };

/** Tokens of a served completion. */
async function drawn(model: string, more: object = {}): Promise<unknown> {
  const asked = { model, prompt: [...prompt.tokens], max_tokens: 12, seed: 3, ignore_eos: true, return_token_ids: true, ...more };
  const { body } = await post("/v1/completions", asked);
  return (body.choices as { token_ids: number[] }[] | undefined)?.map(({ token_ids }) => token_ids) ?? body;
}

async function own(path: string): Promise<number[][]> {
  const snapshot = await engine.openSnapshot(path);
  const [group] = await snapshot.sample([prompt], { ...params, n: 3 });
  await snapshot.dispose();
  return group.map(({ tokens }) => [...tokens]);
}

/** Trains a step and writes the adapter, or the merged model. */
async function exported(name: string, merged: boolean): Promise<string> {
  const snapshot = await trainer.snapshot();
  const [[completion]] = await snapshot.sample([prompt], params);
  await trainer.forwardBackward([datumOf(prompt, completion, 1)], nll);
  await trainer.optimStep({ ...adamW, learningRate: 0.05 });
  await snapshot.dispose();
  const path = join(root, name);
  await trainer.exportModel(path, { merged });
  return path;
}

describe("weights that clients load", () => {
  it("are an adapter beside the model, until it is unloaded", async () => {
    const path = await exported("adapter", false);
    const before = await own(dir);
    expect(await post("/v1/load_lora_adapter", { lora_name: "a", lora_path: path })).toMatchObject({ status: 200 });
    expect((await get("/v1/models")).data).toMatchObject([{ id: "tiny" }, { id: "a", owned_by: "rzero" }]);
    const changed = await own(path);
    expect(changed).not.toEqual(before);
    expect(await drawn("a", { n: 3 })).toEqual(changed);
    expect(await drawn("a", { n: 2, first_sample: 1 })).toEqual(changed.slice(1));
    expect(await drawn("tiny", { n: 3 })).toEqual(before);
    const again = await post("/v1/load_lora_adapter", { lora_name: "a", lora_path: path });
    expect(again.status).toBe(400);
    expect(open).toBe(1);
    expect((await post("/v1/unload_lora_adapter", { lora_name: "a" })).status).toBe(200);
    expect((await post("/v1/unload_lora_adapter", { lora_name: "a" })).status).toBe(404);
    expect(await drawn("a")).toMatchObject({ error: { code: "model_not_found" } });
    expect(open).toBe(0);
  });

  it("replace the model, also under a request that is on its way", async () => {
    const path = await exported("whole", true);
    const before = await own(dir);
    const slow = drawn("tiny", { max_tokens: 200 });
    expect(await post("/update_weights_from_disk", { model_path: path, weight_version: "v2" })).toMatchObject({
      status: 200,
      body: { success: true },
    });
    expect(((await slow) as number[][])[0].slice(0, 12)).toEqual(before[0]);
    expect(await get("/get_model_info")).toMatchObject({ weight_version: "v2", model_path: path });
    expect(await drawn("tiny", { n: 3 })).toEqual(await own(path));
    expect((await post("/update_weights_from_disk", { model_path: dir })).status).toBe(200);
    expect(await drawn("tiny", { n: 3 })).toEqual(before);
  });

  it("lie in one folder, whatever a path or a link says", async () => {
    symlinkSync(fileURLToPath(new URL("../../test/golden/tiny-llama3/", import.meta.url)), join(root, "link"));
    for (const path of ["/etc", join(root, ".."), root, join(root, "missing"), "relative", join(root, "link")]) {
      expect((await post("/update_weights_from_disk", { model_path: path })).status).toBe(400);
      expect((await post("/v1/load_lora_adapter", { lora_name: "b", lora_path: path })).status).toBe(400);
    }
    expect((await post("/v1/load_lora_adapter", { lora_name: "b" })).status).toBe(400);
  });
});
