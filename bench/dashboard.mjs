// Times the dashboard on a store as large as it must bear: the index of 10 runs of 1,000 steps with 1,000,000 questions and 1,000,000 rollouts
// from nothing, memory meanwhile, first rows of filtered and sorted questions, windows deep inside them.
// Usage: node bench/dashboard.mjs [--store DIR] [--runs 10] [--scale 1]   (the store is made when it is not there; 0.9 GB)

import { spawn } from "node:child_process";
import { existsSync, mkdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { setTimeout as wait } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { writeStore } from "./dashboard-store.mjs";

const dist = join(dirname(dirname(fileURLToPath(import.meta.url))), "dist");
const { createRun, runExists } = await import(join(dist, "store", "runs.js"));
const { loadConfig } = await import(join(dist, "config", "load.js"));

const { values } = parseArgs({
  options: { store: { type: "string" }, runs: { type: "string", default: "10" }, scale: { type: "string", default: "1" } },
});
const root = values.store ?? join(tmpdir(), "rzero-dashboard-store");
const like = join(dirname(root), `${root.split("/").at(-1)}-like`);
mkdirSync(root, { recursive: true });
if (!runExists(like, "like")) createRun({ root: like, config: loadConfig({ recipe: "tiny" }), name: "like", version: "bench" });
writeStore(root, join(like, "like"), { runs: Number(values.runs), scale: Number(values.scale) });
rmSync(join(root, ".dashboard"), { recursive: true, force: true });

/** Resident memory of a process in MB; 0 where the system does not tell. */
function memory(pid) {
  const file = `/proc/${pid}/status`;
  const kib = existsSync(file) ? /VmRSS:\s+(\d+)/.exec(readFileSync(file, "utf8"))?.[1] : 0;
  return Math.round(Number(kib ?? 0) / 1000);
}

const started = performance.now();
const args = [join(dist, "cli", "main.js"), "ui", "--runs", root, "--port", "0", "--json"];
const server = spawn(process.execPath, args, { stdio: ["ignore", "pipe", "inherit"] });
let most = 0;
const watch = setInterval(() => {
  most = Math.max(most, memory(server.pid));
}, 100);
try {
  const { url } = JSON.parse(String((await once(server.stdout)).toString()));
  const ask = async (path) => {
    const begun = performance.now();
    const answer = await (await fetch(`${url}${path}`)).json();
    return { answer, ms: Math.round(performance.now() - begun) };
  };
  const report = (name, value) => console.log(`${name.padEnd(58)} ${value}`);
  report("server answers after", `${Math.round(performance.now() - started)} ms`);
  report("table of runs while the index is built", `${(await ask("/api/runs")).ms} ms`);
  while ((await ask("/api/runs")).answer.index.state === "building") await wait(100);
  report("index built in", `${((performance.now() - started) / 1000).toFixed(1)} s`);
  const questions = (query) => ask(`/api/questions?source=pool&limit=100&${query}`);
  const mapped = async () => (await ask("/api/runs/big-10/diversity")).answer.points?.length > 0 || values.runs !== "10";
  while (!(await mapped())) await wait(200);
  report("maps of all runs made after", `${((performance.now() - started) / 1000).toFixed(1)} s`);
  const first = await questions("");
  report("questions", first.answer.total);
  for (const query of [
    "sort=share&descending=true&verdict=kept",
    "sort=length&label=wrong",
    "minShare=0.4&maxShare=0.6&sort=trained&descending=true",
    "search=shells&sort=share",
    "search=multiples+of+7&label=right&sort=length&descending=true",
    "run=big-03&sort=share",
  ]) {
    const { answer, ms } = await questions(query);
    report(`first rows: ${query}`, `${ms} ms of ${answer.total}`);
    const deep = await questions(`${query}&offset=${Math.floor(answer.total / 2)}`);
    report("  window in the middle, at once", `${deep.ms} ms`);
    await wait(1000);
    const far = await questions(`${query}&offset=${Math.floor(answer.total * 0.9)}`);
    report("  another window, a second later", `${far.ms} ms (${deep.answer.rows.length} and ${far.answer.rows.length} rows)`);
  }
  report("a question with its groups and neighbours", `${(await ask(`/api/question?id=${first.answer.rows[99].id}`)).ms} ms`);
  report("curves of a run", `${(await ask("/api/runs/big-01/curves")).ms} ms`);
  report("most memory", `${most} MB`);
} finally {
  clearInterval(watch);
  server.kill("SIGTERM");
}

function once(stream) {
  return new Promise((resolve) => {
    stream.once("data", resolve);
  });
}
