// Checks every checksum of a run and every path in it: markers, models, questions, metrics, answers, training states, events.
// Says of each damaged file what it costs and what to do. Changes nothing. Journals of completions are rollout/journal.ts.

import { existsSync, lstatSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { errorText } from "../util/errors.ts";
import { isPartial, sha256, sumFile } from "../util/files.ts";
import { expectObject, parseJson, readJsonFile } from "../util/json.ts";
import { PHASES, type Phase } from "./layout.ts";
import { isInside, MANIFEST, readManifest } from "./manifest.ts";
import type { RunStore } from "./run-store.ts";

/** One damaged file. */
export interface Damage {
  /** Path inside the run. */
  readonly file: string;
  readonly problem: string;
  readonly cost: string;
  readonly remedy: string;
}

/** What was found. */
export interface Verification {
  readonly checked: number;
  readonly damaged: readonly Damage[];
  /** Phases of versions that wrote no checksums. */
  readonly unchecked: readonly string[];
}

const STATE_BYTES = 1 << 20;

/** Reads all of a run; about a second per gigabyte. */
export function verifyRun(run: RunStore): Verification {
  const check = new Check(run);
  check.readable("events.jsonl", () => run.events(), "the log and the dashboard's curves; no result", "Remove the damaged line.");
  check.readable("done.json", () => run.readSummary(), "the summary alone", `Delete it, then: rzero resume ${run.name}`);
  check.links("");
  for (const iteration of run.iterations()) for (const phase of PHASES) check.phase(iteration, phase);
  return check;
}

class Check implements Verification {
  checked = 0;
  readonly damaged: Damage[] = [];
  readonly unchecked: string[] = [];
  readonly #run: RunStore;

  constructor(run: RunStore) {
    this.#run = run;
  }

  /** Counts a file that reads, and tells of one that does not. */
  readable(file: string, read: () => unknown, cost: string, remedy: string): void {
    if (!existsSync(join(this.#run.dir, file))) return;
    try {
      read();
      this.checked++;
    } catch (error) {
      this.damaged.push({ file, problem: errorText(error), cost, remedy });
    }
  }

  /** Links lead out of a run; it never makes any. */
  links(below: string): void {
    for (const name of readdirSync(join(this.#run.dir, below))) {
      const path = below === "" ? name : `${below}/${name}`;
      const stat = lstatSync(join(this.#run.dir, path));
      if (stat.isDirectory()) this.links(path);
      else if (!stat.isFile()) {
        const problem = `expected a file, got ${stat.isSymbolicLink() ? "a link" : "something else"}`;
        this.damaged.push({
          file: path,
          problem,
          cost: "what it stands for is not the run's own",
          remedy: "Put the file itself there.",
        });
      }
    }
  }

  phase(iteration: number, phase: Phase): void {
    const { dir, done, state, checkpoints } = this.#run.phase(iteration, phase);
    if (!existsSync(dir)) return;
    const name = this.#name(dir);
    const again = `Delete ${name} and every later phase, then: rzero resume ${this.#run.name}`;
    for (const part of existsSync(checkpoints) ? readdirSync(checkpoints) : [])
      if (/^\d+$/.test(part))
        this.#state(join(checkpoints, part), "one checkpoint; the one before is used", "Nothing: resume does it.");
    if (existsSync(state)) this.#state(state, `the ${phase} phase of iteration ${iteration} cannot be gone on from`, again);
    if (!existsSync(done)) return;
    this.readable(`${name}/done.json`, () => this.#run.readDone(iteration, phase), `the measures of this ${phase} phase`, again);
    if (!existsSync(join(dir, MANIFEST))) this.unchecked.push(name);
    else this.#manifest(dir, again);
  }

  #manifest(dir: string, again: string): void {
    const name = this.#name(dir);
    const cost = "the phase's checksums; its files may be whole";
    this.readable(`${name}/${MANIFEST}`, () => readManifest(dir), cost, `Compare with a copy, or: ${again}`);
    let sums: ReturnType<typeof readManifest>;
    try {
      sums = readManifest(dir);
    } catch {
      return;
    }
    for (const [file, sum] of sums) this.#sum(`${name}/${file}`, sum, costOf(file), again);
  }

  /** A training state names its files with their sums; its position has its own. */
  #state(dir: string, cost: string, remedy: string): void {
    const name = this.#name(dir);
    const sums: [string, { bytes: unknown; sha256: unknown }][] = [];
    const read = () => {
      const file = join(dir, "state.json");
      const { files } = expectObject(readJsonFile(file, STATE_BYTES), file);
      for (const part of Object.values(expectObject(files, `${file} files`))) {
        const { file: own, bytes, sha256: sum } = expectObject(part, file);
        if (typeof own !== "string" || !isInside(own) || own.includes("/"))
          throw new Error(`${file}: expected plain file names.`);
        sums.push([own, { bytes, sha256: sum }]);
      }
    };
    if (existsSync(join(dir, "state.json"))) this.readable(`${name}/state.json`, read, cost, remedy);
    else this.damaged.push({ file: `${name}/state.json`, problem: "it is missing", cost, remedy });
    for (const [file, sum] of sums) this.#sum(`${name}/${file}`, sum, cost, remedy);
    this.readable(`${name}/position.json`, () => checkPosition(join(dir, "position.json")), cost, remedy);
  }

  #sum(file: string, expected: { bytes: unknown; sha256: unknown }, cost: string, remedy: string): void {
    const problem = this.#problem(file, expected);
    if (problem === undefined) this.checked++;
    else if (!this.damaged.some((damage) => damage.file === file)) this.damaged.push({ file, problem, cost, remedy });
  }

  #problem(file: string, expected: { bytes: unknown; sha256: unknown }): string | undefined {
    const path = join(this.#run.dir, file);
    if (!existsSync(path)) return "it is missing";
    try {
      const { bytes, sha256: sum } = sumFile(path);
      if (bytes !== expected.bytes) return `expected ${expected.bytes} bytes, got ${bytes}`;
      return sum === expected.sha256 ? undefined : `expected SHA-256 ${expected.sha256}, got ${sum}`;
    } catch (error) {
      return errorText(error);
    }
  }

  #name(dir: string): string {
    return dir.slice(this.#run.dir.length + 1).replaceAll("\\", "/");
  }
}

function checkPosition(file: string): void {
  const { sha256: sum, position } = expectObject(readJsonFile(file, 64 << 20), file);
  if (typeof position !== "string" || sha256(position) !== sum)
    throw new Error(`${file}: expected content of its SHA-256, got other.`);
  parseJson(position, file);
}

function costOf(file: string): string {
  if (file.startsWith("model/")) return "the phase's model cannot be used; the training state beside it is apart";
  if (file === "questions.jsonl") return "the curriculum of the iteration";
  if (file === "done.json") return "the phase's measures";
  return isPartial(file) ? "nothing" : "the phase's record; not its model";
}
