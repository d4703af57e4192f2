// The schedule of iterations: how many steps a phase has, and when a run is over before its last iteration. Pure functions of the
// configuration and of what the curriculum phase and the guard measured, so a resumed run decides alike. Reads no score of a benchmark.

import type { Config } from "../config/schema.ts";
import type { GuardReport } from "../store/events.ts";
import type { JsonObject } from "../store/jsonl.ts";
import type { Role } from "../store/layout.ts";

/** Rollout steps of a role's phase; the first iteration may have its own number (schedule.warmStart). */
export function phaseSteps({ challenger, solver, schedule }: Config, role: Role, iteration: number): number {
  const { challengerSteps, solverSteps } = iteration === 1 ? schedule.warmStart : {};
  return role === "challenger" ? (challengerSteps ?? challenger.steps) : (solverSteps ?? solver.steps);
}

/** Why the run ends after an iteration with these curriculum metrics and this report of the guard, if there is one; or undefined. */
export function reasonToStop(
  { schedule }: Pick<Config, "schedule">,
  curriculum: JsonObject,
  guard: Pick<GuardReport, "iteration" | "best"> | undefined,
): string | undefined {
  const { keptBelow, distinctBelow, patience } = schedule.stop;
  const age = guard === undefined ? 0 : guard.iteration - guard.best.iteration;
  if (patience > 0 && age >= patience)
    return `the best iteration by the guard's score, ${guard?.best.iteration}, is ${age} old (schedule.stop.patience)`;
  const kept = Number(curriculum.kept);
  if (kept < keptBelow) return `${kept} questions were kept, fewer than ${keptBelow} (schedule.stop.keptBelow)`;
  const distinct = Number((curriculum.coverage as JsonObject | undefined)?.distinctShare ?? 1);
  if (distinct < distinctBelow)
    return `${(100 * distinct).toFixed(1)} % of the questions are different texts, less than ${100 * distinctBelow} % (schedule.stop.distinctBelow)`;
  return undefined;
}
