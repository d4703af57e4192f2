// `rzero serve` from outside: ready line, an answer, the end by a signal, refusals. Runs the compiled dist/ on the golden model.

import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { afterEach, expect, it } from "vitest";

const root = dirname(dirname(dirname(fileURLToPath(import.meta.url))));
const main = join(root, "dist", "cli", "main.js");
const model = join(root, "test", "golden", "tiny-qwen3");
const args = [main, "serve", "--model", model, "--port", "0", "--json", "--threads", "1"];

let child: ChildProcess | undefined;
afterEach(() => child?.kill("SIGKILL"));

async function start(
  env: Record<string, string> = {},
  ...more: string[]
): Promise<{ url: string; model: string; context: number }> {
  child = spawn(process.execPath, [...args, ...more], { stdio: ["ignore", "pipe", "ignore"], env: { ...process.env, ...env } });
  const line = await new Promise<string>((resolve) => createInterface(child!.stdout!).once("line", resolve));
  return JSON.parse(line);
}

function ask(url: string, headers: Record<string, string>, body: object): Promise<Response> {
  return fetch(`${url}/v1/completions`, {
    method: "POST",
    headers: { "content-type": "application/json", ...headers },
    body: JSON.stringify(body),
  });
}

it("serves with a key from the environment until a signal, and finishes what was asked", async () => {
  const ready = await start({ RZERO_API_KEY: "k" });
  expect(ready).toMatchObject({ model: "tiny-qwen3", context: 256 });
  const asked = { model: "tiny-qwen3", prompt: "If", max_tokens: 200, n: 32, ignore_eos: true };
  expect((await ask(ready.url, {}, asked)).status).toBe(401);
  const answer = ask(ready.url, { authorization: "Bearer k" }, asked);
  while ((await (await fetch(`${ready.url}/health`)).json()).running === 0);
  const exited = new Promise((resolve) => child!.on("exit", resolve));
  child!.kill("SIGTERM");
  expect(((await (await answer).json()) as { usage: object }).usage).toMatchObject({ completion_tokens: 32 * 200 });
  expect(await exited).toBe(0);
});

it("refuses a wide address without a key, an unknown protocol and a missing model", () => {
  const fails = (...more: string[]) =>
    spawnSync(process.execPath, [...args, ...more], { encoding: "utf8", env: { ...process.env, RZERO_API_KEY: undefined } });
  expect(fails("--host", "0.0.0.0")).toMatchObject({ status: 2, stderr: expect.stringContaining("RZERO_API_KEY") });
  expect(fails("--protocol", "carrier-pigeon").status).toBe(2);
  expect(fails("--model", "/no/such/model").status).toBe(2);
});

it("as a Tinker server: what was accepted before it was killed is done by the next one, with the same bytes", async () => {
  const state = mkdtempSync(join(tmpdir(), "rzero-serve-"));
  const tinker = ["--protocol", "tinker", "--state", state, "--dtype", "f32", "--api-key-env", "MY_KEY"];
  let url = "";
  const open = async () => {
    ({ url } = await start({ MY_KEY: "tml-secret" }, ...tinker));
  };
  const post = async (path: string, body: object) => {
    const headers = { "content-type": "application/json", "x-api-key": "tml-secret" };
    const response = await fetch(`${url}/api/v1/${path}`, { method: "POST", headers, body: JSON.stringify(body) });
    expect([path, response.status]).toEqual([path, 200]);
    return (await response.json()) as Record<string, string>;
  };
  const end = (signal: NodeJS.Signals) => {
    const exited = new Promise((resolve) => child!.on("exit", resolve));
    child!.kill(signal);
    return exited;
  };
  const train = async (killed: boolean) => {
    const { session_id } = await post("create_session", {});
    const create = { session_id, model_seq_id: 0, base_model: "tiny-qwen3", lora_config: { rank: 2, seed: 3 } };
    const { model_id } = await post("create_model", create);
    const target_tokens = { data: [20, 30, 40], dtype: "int64", shape: [3] };
    const data = [{ model_input: { chunks: [{ tokens: [10, 20, 30] }] }, loss_fn_inputs: { target_tokens } }];
    const pass = (seq_id: number) => ({ model_id, seq_id, forward_backward_input: { data, loss_fn: "cross_entropy" } });
    const ids: string[] = [];
    for (const [path, body] of [
      ["forward_backward", pass(1)],
      ["optim_step", { model_id, seq_id: 2, adam_params: { learning_rate: 0.01 } }],
      ["forward_backward", pass(3)],
    ] as const)
      ids.push((await post(path, body)).request_id);
    if (killed) {
      await end("SIGKILL");
      await open();
    }
    const results = [];
    for (const request_id of ids) results.push(await post("retrieve_future", { request_id }));
    return results;
  };
  try {
    await open();
    const plain = await train(false);
    expect(plain[1]).toMatchObject({ metrics: { "rzero/applied": 1 } });
    expect(await train(true)).toEqual(plain);
    expect(await end("SIGTERM")).toBe(0);
  } finally {
    rmSync(state, { recursive: true, force: true });
  }
});
