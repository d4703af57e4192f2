// Runs the compiled program as a process that can be killed, and reads what a run left, without what may differ between two runs of the
// same bytes: times, versions, logs of how often it was resumed. Used by the kill tests; knows no assertion.

import { type ChildProcess, spawn } from "node:child_process";
import { createHash } from "node:crypto";
import { mkdtempSync, readdirSync, readFileSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { basename, dirname, join, relative } from "node:path";
import { fileURLToPath } from "node:url";
import { smallArgs } from "../e2e/small-run.ts";

const root = dirname(dirname(dirname(fileURLToPath(import.meta.url))));
const main = join(root, "dist", "cli", "main.js");

/** A run of seconds on the embedded base: every phase, two optimizer steps per rollout step in both roles. */
export const TINY_RUN = smallArgs(
  "challenger.steps=2",
  "challenger.questionsPerOptimizerStep=16",
  "solver.steps=3",
  "solver.questionsPerOptimizerStep=4",
  "evaluation.greedy=false",
  "evaluation.maxTokens=40",
);

/** How a process ended. */
export interface Ended {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** A directory of runs of its own. */
export function scratchRuns(): string {
  return mkdtempSync(join(tmpdir(), "rzero-faults-"));
}

/** Starts `rzero` with its runs in `runs`. */
export function startRzero(
  runs: string,
  args: readonly string[],
  env: NodeJS.ProcessEnv = {},
): { child: ChildProcess; ended: Promise<Ended> } {
  const child = spawn(process.execPath, [main, ...args], {
    env: { ...process.env, RZERO_RUNS: runs, NO_COLOR: "1", RZERO_DEBUG: "", ...env },
    cwd: runs,
    stdio: ["ignore", "pipe", "pipe"],
  });
  let stdout = "";
  let stderr = "";
  child.stdout.on("data", (chunk) => {
    stdout += chunk;
  });
  child.stderr.on("data", (chunk) => {
    stderr += chunk;
  });
  const ended = new Promise<Ended>((resolve) => {
    child.on("close", (code, signal) => resolve({ code, signal, stdout, stderr }));
  });
  return { child, ended };
}

/** Starts `rzero` and kills it after so many milliseconds, unless it has ended; with `when`, at the first instant after them that it holds. */
export async function killedAfter(runs: string, args: readonly string[], ms: number, when = () => true): Promise<Ended> {
  const { child, ended } = startRzero(runs, args);
  let timer: NodeJS.Timeout;
  const look = () => {
    if (when()) child.kill("SIGKILL");
    else timer = setTimeout(look, 1);
  };
  timer = setTimeout(look, ms);
  const how = await ended;
  clearTimeout(timer);
  return how;
}

/** True while a checkpoint of the run is being written. */
export function writesCheckpoint(dir: string): boolean {
  return below(dir, "checkpoints").some((path) => /\d\.partial$/.test(path));
}

/** A condition that holds once a journal of the run has grown since the first look. */
export function journalGrows(dir: string): () => boolean {
  const sizes = new Map<string, number>();
  let first = true;
  return () => {
    let grew = false;
    for (const path of below(dir, "journal")) {
      const size = statSync(path, { throwIfNoEntry: false })?.size ?? 0;
      if (size > (sizes.get(path) ?? 0)) grew = true;
      sizes.set(path, size);
    }
    grew &&= !first;
    first = false;
    return grew;
  };
}

/** What the folders of a name hold in all phases of a run. */
function below(dir: string, folder: "checkpoints" | "journal"): string[] {
  const list = (path: string) => {
    try {
      return readdirSync(path).map((name) => join(path, name));
    } catch {
      return []; // not there, or not any more
    }
  };
  const phases = list(dir).filter((path) => basename(path).startsWith("iteration-"));
  return phases.flatMap(list).flatMap((phase) => list(join(phase, folder)));
}

/** Events that say how the run went, not what it made. */
const PASSING = new Set(["start", "interrupted", "warning", "paused", "restart", "rollback"]);

/** What must be equal: SHA-256 of each file of a run by its path; logs and markers without their times. */
export function artefacts(dir: string): Record<string, string> {
  const out: Record<string, string> = {};
  for (const path of filesBelow(dir)) {
    const name = relative(dir, path);
    if (/^(run\.json|engine\.json|config\.yaml|progress\.json.*|lock\.json.*)$|(^|\/)(checkpoints|journal)\//.test(name))
      continue;
    out[name] = createHash("sha256").update(contentOf(path, name)).digest("hex").slice(0, 16);
  }
  return out;
}

function contentOf(path: string, name: string): Buffer | string {
  if (name === "events.jsonl") return normalisedEvents(path).join("\n");
  if (name !== "done.json") return readFileSync(path);
  const { seconds: _, run: __, ...summary } = JSON.parse(readFileSync(path, "utf8")) as Record<string, unknown>;
  return JSON.stringify(summary);
}

/** The events of a run's log without times and names. */
export function normalisedEvents(path: string): string[] {
  const lines = readFileSync(path, "utf8").trimEnd().split("\n");
  return lines.flatMap((line) => {
    const { time: _, seconds: __, run: ___, ...event } = JSON.parse(line) as Record<string, unknown>;
    return PASSING.has(String(event.event)) ? [] : JSON.stringify(event);
  });
}

function filesBelow(dir: string): string[] {
  return readdirSync(dir, { withFileTypes: true })
    .flatMap((entry) => (entry.isDirectory() ? filesBelow(join(dir, entry.name)) : join(dir, entry.name)))
    .sort();
}
