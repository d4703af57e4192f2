// `rzero serve` from outside: ready line, an answer, the end by a signal, refusals. Runs the compiled dist/ on the golden model.

import { type ChildProcess, spawn, spawnSync } from "node:child_process";
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

async function start(env: Record<string, string> = {}): Promise<{ url: string; model: string; context: number }> {
  child = spawn(process.execPath, args, { stdio: ["ignore", "pipe", "ignore"], env: { ...process.env, ...env } });
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
