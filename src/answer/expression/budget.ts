// A cap on the work one comparison may do. Counted in steps, not in time, so a verdict never depends on the machine.
// Everything that loops or grows calls `spend`; what is out of budget ends as "not equivalent" with that reason.

/** Steps one comparison may take: some tens of milliseconds. */
export const STEP_LIMIT = 60_000;

/** Thrown where one value would grow beyond its cap; never leaves src/answer. */
export class BudgetError extends Error {}

/** Thrown when the steps of the whole comparison are used up: nothing more can be decided. */
export class StepsError extends BudgetError {}

let left = STEP_LIMIT;

/** Starts counting again. */
export function resetBudget(): void {
  left = STEP_LIMIT;
}

/** Counts `steps` of work. Errors: StepsError when none are left. */
export function spend(steps = 1): void {
  left -= steps;
  if (left < 0) throw new StepsError("budget: too much work for one answer");
}
