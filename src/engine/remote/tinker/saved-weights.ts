// Training states that a run has saved on its servers: the ones that no file of the run names any more are dropped there, so that a run of
// many steps does not fill a server. Knows the run's directory as files, not their meaning.

import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { PATH_FILE, savedPath } from "./saved-state.ts";
import type { Server } from "./server.ts";

/** The newest states are left alone: their files may be on the way to their place. */
const NEWEST = 4;
const SWEEP_EVERY = 8;
const DEEPEST = 5;

/** See the file header. Without a run's directory nothing is dropped. */
export class SavedWeights {
  readonly #runDir: string | undefined;
  readonly #saved: { readonly server: Server; readonly path: string }[] = [];

  constructor(runDir: string | undefined) {
    this.#runDir = runDir;
  }

  /** Notes a state that this process has saved. Now and then those without a file are dropped, which nobody waits for. */
  note(server: Server, path: string): void {
    this.#saved.push({ server, path });
    if (this.#runDir === undefined || this.#saved.length < NEWEST + SWEEP_EVERY) return;
    const newest = this.#saved.slice(-NEWEST);
    const named = new Set([...statesIn(this.#runDir, DEEPEST), ...newest.map((one) => one.path)]);
    const gone = new Set(this.#saved.filter((one) => !named.has(one.path)));
    this.#saved.splice(0, this.#saved.length, ...this.#saved.filter((one) => !gone.has(one)).slice(-1000));
    for (const one of gone) void drop(one.server, one.path);
  }
}

async function drop(server: Server, path: string): Promise<void> {
  const [, model, name] = /^tinker:\/\/([^/]+)\/weights\/([^/]+)$/.exec(path) ?? [];
  if (model === undefined) return;
  await server.connection.delete(`/training_runs/${encodeURIComponent(model)}/checkpoints/weights/${encodeURIComponent(name)}`);
}

/** Paths that the states below a directory name. */
function statesIn(dir: string, depth: number): string[] {
  return readdirSync(dir, { withFileTypes: true }).flatMap((entry) => {
    const path = join(dir, entry.name);
    if (entry.isDirectory()) return depth > 0 ? statesIn(path, depth - 1) : [];
    const named = entry.name === PATH_FILE ? savedPath(readFileSync(path, "utf8")) : undefined;
    return named === undefined ? [] : [named];
  });
}
