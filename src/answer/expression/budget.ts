// A cap on the work one comparison may do. Counted in steps, not in time, so a verdict never depends on the machine.
// Everything that loops or grows calls `spend`; what is out of budget ends as "not equivalent" with that reason.

/** Steps one comparison may take: some tens of milliseconds. */
export const STEP_LIMIT = 120_000;

/** Thrown by `spend` and caught where a comparison starts; never leaves src/answer. */
export class BudgetError extends Error {}

let left = STEP_LIMIT;

/** Starts counting again. */
export function resetBudget(): void {
  left = STEP_LIMIT;
}

/** Counts `steps` of work. Errors: BudgetError when none are left. */
export function spend(steps = 1): void {
  left -= steps;
  if (left < 0) throw new BudgetError("budget: too much work for one answer");
}
