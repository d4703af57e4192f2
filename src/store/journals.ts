// Names of the journals of a phase, one file per sampling call, and their removal once nothing may need them. Knows no content.

import { existsSync, readdirSync, rmSync } from "node:fs";
import { join } from "node:path";

/** `step-0003-posing.log`, or `posing.log` in a phase without steps. */
export function journalFile(dir: string, step: number | undefined, activity: string): string {
  const name = activity.replace(/[^A-Za-z0-9]+/g, "-");
  return join(dir, step === undefined ? `${name}.log` : `step-${String(step).padStart(6, "0")}-${name}.log`);
}

/** Removes the journals of steps that `drop` names. */
export function dropJournals(dir: string, drop: (step: number) => boolean): void {
  if (!existsSync(dir)) return;
  for (const name of readdirSync(dir)) {
    const step = /^step-(\d+)-/.exec(name)?.[1];
    if (step !== undefined && drop(Number(step))) rmSync(join(dir, name), { force: true });
  }
}
