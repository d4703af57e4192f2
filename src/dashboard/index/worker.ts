// The thread that keeps the index: looks at the runs now and then, reads what is new, and says how far it is. Ends when its owner does.
// What it cannot do (a damaged index) it says, and ends; the owner starts another.

import { parentPort, workerData } from "node:worker_threads";
import { errorText } from "../../util/errors.ts";
import { IndexBuilder, openIndex } from "./builder.ts";
import { updateMap } from "./map.ts";
import { isDamage, type SqlDatabase } from "./sqlite.ts";

/** What the thread is given. */
export interface IndexWorkerData {
  readonly root: string;
  readonly file: string;
}

/** What it says: how far it is, or why it ended. */
export type IndexMessage =
  | { readonly kind: "state"; readonly building: boolean; readonly done: number; readonly revision: number }
  | { readonly kind: "failed"; readonly damaged: boolean; readonly problem: string };

/** Between two looks at least; more where a look takes long. */
const LOOK_MS = 500;
const SHARE_OF_TIME = 50;

function say(message: IndexMessage): void {
  parentPort?.postMessage(message);
}

async function keep({ root, file }: IndexWorkerData): Promise<void> {
  let database: SqlDatabase | undefined;
  try {
    database = openIndex(file);
    const builder = new IndexBuilder(root, database);
    const stale = new Set<number>();
    let revision = 0;
    for (let first = true; ; first = false) {
      const started = performance.now();
      const changed = builder.update((done, total) => {
        if (total > 0) say({ kind: "state", building: first, done: done / total, revision: ++revision });
      });
      for (const run of first ? builder.runs.values() : changed) stale.add(run);
      if (first || changed.size > 0) say({ kind: "state", building: false, done: 1, revision: ++revision });
      for (const [name, run] of builder.runs)
        if (stale.delete(run) && updateMap(database, run, name))
          say({ kind: "state", building: false, done: 1, revision: ++revision });
      const took = performance.now() - started;
      await new Promise((resolve) => setTimeout(resolve, Math.max(LOOK_MS, Math.min(took, 1000) * SHARE_OF_TIME)));
    }
  } catch (error) {
    database?.close();
    say({ kind: "failed", damaged: isDamage(error), problem: errorText(error) });
  }
}

void keep(workerData as IndexWorkerData);
