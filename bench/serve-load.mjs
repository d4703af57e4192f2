// Load on `rzero serve`: concurrent streaming clients on loopback for a bounded time. Reports errors, the server's memory before
// and after, and tokens/s against the offline sampler at the same batch (measured before and after, in a process of its own).
//   node bench/serve-load.mjs [--model M] [--clients 64] [--seconds 10] [--threads N] [--hostile] [--offline-seconds 4]
// With --hostile further clients vanish, send garbage and 100 MB bodies all the while. Needs a built dist/.

import { spawn } from "node:child_process";
import { readFileSync } from "node:fs";
import { Agent, request } from "node:http";
import { connect } from "node:net";
import { dirname, join } from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const { values } = parseArgs({
  options: {
    model: { type: "string", default: "tiny-base" },
    clients: { type: "string", default: "64" },
    seconds: { type: "string", default: "10" },
    "offline-seconds": { type: "string", default: "4" },
    threads: { type: "string", default: "auto" },
    hostile: { type: "boolean", default: false },
    offline: { type: "boolean", default: false },
  },
});
const clients = Number(values.clients);
const seconds = Math.min(60, Number(values.seconds));
const WARM_UP_MS = 1500;

/** Request `i`: a short prompt of its own and a length of its own, so that completions do not end together. */
function requestOf(i) {
  return { prompt: Array.from({ length: 8 }, (_, t) => 5 + ((i * 31 + t * 17 + i * t) % 90)), maxTokens: 100 + ((i * 37) % 100) };
}

/** Tokens per second of `Snapshot.sample` with as many slots as there are clients. */
async function offline() {
  const { createEngine } = await import("../dist/engine/create.js");
  const { resolveModel } = await import("../dist/cli/model-ref.js");
  const engine = createEngine({
    kind: "local",
    threads: values.threads === "auto" ? "auto" : Number(values.threads),
    slots: clients,
  });
  const snapshot = await engine.openSnapshot(resolveModel(values.model).dir);
  const sample = async (count, from) => {
    const prompts = Array.from({ length: count }, (_, i) => ({ tokens: Int32Array.from(requestOf(from + i).prompt) }));
    const params = { n: 1, maxTokens: 150, temperature: 1, topP: 1, topK: 0, stopTokens: [], seed: from };
    return (await snapshot.sample(prompts, params)).flat().reduce((sum, { tokens }) => sum + tokens.length, 0);
  };
  await sample(clients, 0);
  const begun = performance.now();
  const cpu = process.cpuUsage();
  let tokens = 0;
  for (let from = 1; performance.now() - begun < 1000 * Number(values["offline-seconds"]); from++)
    tokens += await sample(clients, from * 1000);
  const { user, system } = process.cpuUsage(cpu);
  const tokensPerSecond = (1000 * tokens) / (performance.now() - begun);
  console.log(JSON.stringify({ tokensPerSecond, cpuMicrosPerToken: (user + system) / tokens }));
  await engine.dispose();
}

function offlineChild() {
  return new Promise((resolve, reject) => {
    const args = [fileURLToPath(import.meta.url), "--offline", ...process.argv.slice(2)];
    const child = spawn(process.execPath, args, { stdio: ["ignore", "pipe", "inherit"] });
    let text = "";
    child.stdout.on("data", (data) => {
      text += data;
    });
    child.on("close", (code) => (code === 0 ? resolve(JSON.parse(text)) : reject(new Error(`offline: ${code}`))));
  });
}

async function startServer() {
  const main = join(root, "dist", "cli", "main.js");
  const args = [
    main,
    "serve",
    "--model",
    values.model,
    "--port",
    "0",
    "--json",
    "--max-queue",
    "1024",
    "--threads",
    values.threads,
  ];
  const child = spawn(process.execPath, args, { stdio: ["ignore", "pipe", "inherit"] });
  const ended = new Promise((resolve) => child.on("close", resolve));
  const [line] = await Promise.race([
    new Promise((resolve) => createInterface(child.stdout).once("line", (text) => resolve([text]))),
    ended.then((code) => Promise.reject(new Error(`serve ended with code ${code}`))),
  ]);
  return { child, ended, port: Number(new URL(JSON.parse(line).url).port) };
}

function megabytes(pid) {
  return Math.round(Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${pid}/status`, "utf8"))[1]) / 1024);
}

/** CPU time of a process so far, in microseconds (ticks of 10 ms). */
function cpuMicros(pid) {
  const stat = readFileSync(`/proc/${pid}/stat`, "utf8");
  const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
  return (Number(fields[11]) + Number(fields[12])) * 10_000;
}

/** One streamed completion; the tokens that its last event counts. */
function streamOnce(agent, port, i) {
  const { prompt, maxTokens } = requestOf(i);
  const body = JSON.stringify({
    prompt,
    max_tokens: maxTokens,
    seed: i,
    ignore_eos: true,
    stream: true,
    stream_options: { include_usage: true },
  });
  return new Promise((resolve, reject) => {
    const headers = { "content-type": "application/json", "content-length": Buffer.byteLength(body) };
    const asked = request({ agent, port, host: "127.0.0.1", method: "POST", path: "/v1/completions", headers }, (response) => {
      let tail = "";
      response.on("data", (data) => {
        tail = (tail + data).slice(-600);
      });
      response.on("error", reject);
      response.on("end", () => {
        const usage = /"completion_tokens":(\d+)/.exec(tail);
        if (response.statusCode !== 200 || usage === null || !tail.endsWith("[DONE]\n\n") || Number(usage[1]) !== maxTokens)
          reject(new Error(`status ${response.statusCode}, end ${tail.slice(-200)}`));
        else resolve(Number(usage[1]));
      });
    });
    asked.on("error", reject);
    asked.end(body);
  });
}

/** One who vanishes, one who talks nonsense, one who sends far too much; each again and again. */
function hostile(port, until) {
  const again = (act) => {
    if (Date.now() < until) act(() => setTimeout(() => again(act), 100));
  };
  const raw = (bytes, endAfterMs) => (next) => {
    const socket = connect(port, "127.0.0.1", () => socket.write(bytes));
    socket.on("error", () => {});
    socket.on("close", next);
    setTimeout(() => socket.destroy(), endAfterMs);
  };
  const post = (body, length = body.length) =>
    `POST /v1/completions HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: ${length}\r\n\r\n${body}`;
  again(raw(post(JSON.stringify({ prompt: "12", n: 4, max_tokens: 200, ignore_eos: true, stream: true })), 60));
  again(raw("\x00\xff garbage \r\n\r\n", 200));
  again(raw(post('{"prompt": "'), 30));
  again(raw(post(" ".repeat(2 ** 20), 100 * 2 ** 20), 500));
}

async function load(port, pid) {
  const agent = new Agent({ keepAlive: true, maxSockets: clients });
  const errors = [];
  const begun = Date.now();
  const from = begun + WARM_UP_MS;
  const until = from + 1000 * seconds;
  let next = 0;
  let tokens = 0;
  let completions = 0;
  if (values.hostile) hostile(port, until);
  const client = async () => {
    while (Date.now() < until) {
      try {
        const got = await streamOnce(agent, port, next++);
        if (Date.now() >= from && Date.now() < until) {
          tokens += got;
          completions++;
        }
      } catch (error) {
        errors.push(error.message);
      }
    }
  };
  const all = Array.from({ length: clients }, client);
  let cpuAfter;
  await new Promise((resolve) => setTimeout(resolve, WARM_UP_MS));
  const memoryBefore = megabytes(pid);
  const cpuBefore = { server: cpuMicros(pid), client: process.cpuUsage() };
  const samples = [];
  const timer = setInterval(() => samples.push(megabytes(pid)), 1000);
  setTimeout(() => {
    cpuAfter = { server: cpuMicros(pid), client: process.cpuUsage(cpuBefore.client) };
  }, until - Date.now());
  await Promise.all(all);
  clearInterval(timer);
  const { user, system } = cpuAfter.client;
  const cpuMicrosPerToken = { server: (cpuAfter.server - cpuBefore.server) / tokens, clients: (user + system) / tokens };
  agent.destroy();
  await new Promise((resolve) => setTimeout(resolve, 300));
  const idle = await fetch(`http://127.0.0.1:${port}/health`).then((response) => response.json());
  const everyTenSeconds = samples.filter((_, i) => i % 10 === 9);
  const memory = { before: memoryBefore, everyTenSeconds, most: Math.max(0, ...samples), after: megabytes(pid) };
  return { completions, errors, memoryMegabytes: memory, tokensPerSecond: tokens / seconds, cpuMicrosPerToken, idle };
}

if (values.offline) await offline();
else {
  const before = await offlineChild();
  const server = await startServer();
  const result = await load(server.port, server.child.pid);
  server.child.kill("SIGTERM");
  const exitCode = await server.ended;
  const after = await offlineChild();
  const mean = (key) => (before[key] + after[key]) / 2;
  const report = {
    model: values.model,
    clients,
    seconds,
    ...result,
    errors: result.errors.length,
    firstError: result.errors[0],
    exitCode,
    offline: [before, after],
    ofOffline: result.tokensPerSecond / mean("tokensPerSecond"),
    // What the machine's other work cannot blur: the CPU time of a token offline, by that of a token served (and received).
    cpuOfOffline: {
      server: mean("cpuMicrosPerToken") / result.cpuMicrosPerToken.server,
      serverAndClients: mean("cpuMicrosPerToken") / (result.cpuMicrosPerToken.server + result.cpuMicrosPerToken.clients),
    },
  };
  console.log(JSON.stringify(report, undefined, 2));
  if (result.errors.length > 0) process.exitCode = 1;
}
