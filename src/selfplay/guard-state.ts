// What the guard has decided, read back from its phases' markers: where an iteration starts, whether the run has ended, which iteration is
// the best. Knows the store, no model.

import type { GuardBest, GuardDecision, GuardReport } from "../store/events.ts";
import type { RunStore } from "../store/run-store.ts";

/** The guard's report on an iteration; undefined before it, or without a guard. Errors: CheckpointError. */
export function guardReport(store: RunStore, iteration: number): GuardReport | undefined {
  if (iteration < 1 || !store.phaseDone(iteration, "guard")) return undefined;
  return store.readDone(iteration, "guard") as unknown as GuardReport;
}

/** All reports up to an iteration, ascending. */
export function guardReports(store: RunStore, upTo = Number.POSITIVE_INFINITY): GuardReport[] {
  return store.iterations().flatMap((iteration) => (iteration <= upTo ? (guardReport(store, iteration) ?? []) : []));
}

/** The iteration whose policies an iteration starts from: the one before, or the one that the guard went back to; 0 is the base model. */
export function predecessor(store: RunStore, iteration: number): number {
  const decision: GuardDecision | undefined = guardReport(store, iteration - 1)?.decision;
  return decision?.action === "rollback" ? decision.to : iteration - 1;
}

/** The newest iteration, from `iteration` back along what it grew from, that `found` accepts; undefined when there is none. */
export function ancestor(store: RunStore, iteration: number, found: (iteration: number) => boolean): number | undefined {
  for (let at = iteration; at >= 1; at = predecessor(store, at)) if (found(at)) return at;
  return undefined;
}

/** Whether the guard ended the run after this iteration. */
export function guardStopped(store: RunStore, iteration: number): boolean {
  return guardReport(store, iteration)?.decision.action === "stop";
}

/** The best iteration by the guard's score so far; undefined without a report. */
export function guardBest(store: RunStore): GuardBest | undefined {
  return guardReports(store).at(-1)?.best;
}
