// `rzero inspect RUN --verify`: every checksum of a run, and what each damaged file costs.

import { existsSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { verifyJournal } from "../rollout/journal.ts";
import { PHASES } from "../store/layout.ts";
import type { RunStore } from "../store/run-store.ts";
import { type Damage, verifyRun } from "../store/verify.ts";
import { print, printJson } from "./output.ts";

/** Prints what was found; the exit code is 1 when a file is damaged. */
export function showVerification(run: RunStore, json: boolean): void {
  const { checked, damaged, unchecked } = verifyRun(run);
  const journals = journalDamage(run);
  const all = [...damaged, ...journals.damaged];
  if (all.length > 0) process.exitCode = 1;
  const total = checked + journals.checked;
  if (json) {
    printJson({ run: run.name, checked: total, damaged: all, unchecked });
    return;
  }
  print(`${run.name}: ${total} files are whole, ${all.length} damaged`);
  for (const { file, problem, cost, remedy } of all) print(`\n${file}: ${problem}\n  costs: ${cost}\n  ${remedy}`);
  if (unchecked.length > 0) print(`\nWithout checksums (made by an older rzero): ${unchecked.join(", ")}`);
}

function journalDamage(run: RunStore): { checked: number; damaged: Damage[] } {
  const damaged: Damage[] = [];
  let checked = 0;
  for (const iteration of run.iterations())
    for (const phase of PHASES) {
      const { journal } = run.phase(iteration, phase);
      for (const name of existsSync(journal) ? readdirSync(journal) : []) {
        const file = join(journal, name);
        const { intact, damaged: torn } = verifyJournal(file);
        if (!torn) checked++;
        else
          damaged.push({
            file: file.slice(run.dir.length + 1),
            problem: `expected whole lines, got a damaged one behind ${intact}`,
            cost: "the completions behind it are sampled again, to the same tokens",
            remedy: "Nothing: resume does it.",
          });
      }
    }
  return { checked, damaged };
}
