// Which files of the runs the index reads, and in which state they are on the disk. Knows the layout, no content.

import { existsSync, lstatSync, readdirSync } from "node:fs";
import { dirname, join } from "node:path";
import { PHASES, phaseLayout, type RunLayout, runLayout } from "../../store/layout.ts";
import type { Place } from "./schema.ts";

/** A file as the disk has it. */
export interface FoundFile {
  readonly path: string;
  readonly kind: Place["kind"];
  readonly iteration: number;
  readonly step: number;
  readonly bytes: number;
  /** Changes when it is written to. */
  readonly stamp: string;
  /** Truths beside a pool, if there is such a file; they are written first. */
  readonly truths?: string;
}

/** Names of the runs in a directory, in order; empty without the directory. */
export function runsIn(root: string): string[] {
  try {
    return readdirSync(root, { withFileTypes: true })
      .filter(({ name }) => /^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$/.test(name) && existsSync(join(root, name, "config.yaml")))
      .map(({ name }) => name)
      .sort();
  } catch {
    return [];
  }
}

/** Looks at the files of one run again and again; a phase that is done and was read to its end is not looked into any more. */
export class RunScan {
  readonly #layout: RunLayout;
  /** Stamps of the markers of phases whose files were handed over. */
  readonly #settled = new Map<string, string>();

  constructor(root: string, name: string) {
    this.#layout = runLayout(root, name);
  }

  /** The files of phases that may have changed, pools before what refers to them; `kept`: directories of phases that need no look. */
  look(): { readonly files: FoundFile[]; readonly kept: Set<string> } {
    const files: FoundFile[] = [];
    const kept = new Set<string>();
    for (const iteration of this.#iterations())
      for (const phase of PHASES) {
        const { dir, done } = phaseLayout(this.#layout, iteration, phase);
        const marker = stampOf(done)?.stamp;
        if (marker !== undefined && this.#settled.get(dir) === marker) {
          kept.add(dir);
          continue;
        }
        files.push(...this.#filesOf(iteration, phase));
        if (marker !== undefined) this.#settled.set(dir, marker);
      }
    return { files, kept };
  }

  /** Looks at everything again next time. */
  forget(): void {
    this.#settled.clear();
  }

  #filesOf(iteration: number, phase: (typeof PHASES)[number]): FoundFile[] {
    const { questions, truths, rollouts } = phaseLayout(this.#layout, iteration, phase);
    if (phase === "curriculum") {
      const pool = found(questions, "pool", iteration, 0);
      return pool === undefined ? [] : [{ ...pool, truths: stampOf(truths) ? truths : undefined }];
    }
    if (phase !== "challenger" && phase !== "solver") return [];
    return namesIn(rollouts).flatMap((name) => {
      const step = /^step-(\d{6})\.jsonl$/.exec(name)?.[1];
      return step === undefined ? [] : (found(join(rollouts, name), phase, iteration, Number(step)) ?? []);
    });
  }

  #iterations(): number[] {
    return namesIn(this.#layout.dir)
      .flatMap((name) => /^iteration-(\d{1,4})$/.exec(name)?.[1] ?? [])
      .map(Number)
      .sort((a, b) => a - b);
  }
}

function found(path: string, kind: Place["kind"], iteration: number, step: number): FoundFile | undefined {
  const at = stampOf(path);
  return at && { path, kind, iteration, step, ...at };
}

/** Undefined for what is not there, or no plain file: a copied run may hold links that lead elsewhere. */
function stampOf(path: string): { readonly bytes: number; readonly stamp: string } | undefined {
  const stat = lstatSync(path, { throwIfNoEntry: false });
  if (!stat?.isFile()) return undefined;
  return { bytes: stat.size, stamp: `${stat.ino}:${stat.size}:${stat.mtimeMs}` };
}

function namesIn(dir: string): string[] {
  try {
    return readdirSync(dir).sort();
  } catch {
    return [];
  }
}

/** Directory of the phase that a file of `look` is of. */
export function phaseDirOf({ path, kind }: Pick<FoundFile, "path" | "kind">): string {
  return kind === "pool" ? dirname(path) : dirname(dirname(path));
}
