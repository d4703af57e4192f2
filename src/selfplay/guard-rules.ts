// The guard's rules as pure functions: from the measures of the iterations so far to what is broken, what follows from it, and which
// iteration is the best. Knows no run, no model and no benchmark.

import {
  GUARD_ACTIONS,
  GUARD_CONDITIONS,
  type GuardAction,
  type GuardCondition,
  type GuardConfig,
  type GuardMeasure,
  type GuardRule,
} from "../config/guard.ts";
import type { BrokenRule, GuardBest, GuardDecision, GuardMeasures } from "../store/events.ts";

/** An iteration as the rules see it; 0 is the base model. */
export interface GuardEntry {
  readonly iteration: number;
  readonly measures: GuardMeasures;
  /** False when a rule that stops or rolls back was broken. */
  readonly healthy: boolean;
}

/** The condition of a rule and its number. */
export function conditionOf(rule: GuardRule): { readonly condition: GuardCondition; readonly limit: number } {
  for (const condition of GUARD_CONDITIONS) {
    const limit = rule[condition];
    if (limit !== undefined) return { condition, limit };
  }
  throw new Error(`internal: a rule on ${rule.measure} without a condition`);
}

/**
 * The rules that the newest entry breaks. `series`: ascending, the base model first where it was measured. A measure that is absent
 * breaks nothing.
 */
export function brokenRules(
  series: readonly GuardEntry[],
  { rules, action }: Pick<GuardConfig, "rules" | "action">,
): BrokenRule[] {
  return rules.flatMap((rule) => {
    const newest = check(series, rule);
    if (newest === undefined) return [];
    for (let back = 1; back < rule.patience; back++)
      if (check(series.slice(0, series.length - back), rule) === undefined) return [];
    return { ...newest, action: rule.action ?? action };
  });
}

/** How the last entry of a series breaks a rule; undefined when it does not. */
function check(series: readonly GuardEntry[], rule: GuardRule): Omit<BrokenRule, "action"> | undefined {
  const entry = series.at(-1);
  const value = entry?.measures[rule.measure];
  if (entry === undefined || entry.iteration === 0 || value === undefined) return undefined;
  const { condition, limit } = conditionOf(rule);
  const bound = boundOf(series.slice(0, -1), rule.measure, condition, limit);
  if (bound === undefined) return undefined;
  const isLow = condition === "below" || condition === "fall";
  if (isLow ? value >= bound : value <= bound) return undefined;
  const { measure } = rule;
  const reason = `${measure} ${value.toFixed(3)} is ${isLow ? "below" : "above"} ${bound.toFixed(3)}${origin(condition, limit)}`;
  return { measure, condition, limit: bound, value, reason };
}

/** The value that a measure may not pass; undefined when there is nothing to compare with. */
export function boundOf(
  before: readonly GuardEntry[],
  measure: GuardMeasure,
  condition: GuardCondition,
  limit: number,
): number | undefined {
  if (condition === "below" || condition === "above") return limit;
  if (condition === "fall") {
    const known = before.filter(({ healthy }) => healthy).flatMap(({ measures }) => measures[measure] ?? []);
    return known.length === 0 ? undefined : Math.max(...known) - limit;
  }
  const base = before.find(({ iteration }) => iteration === 0)?.measures[measure];
  if (base === undefined) return undefined;
  return condition === "rise" ? base + limit : base * limit;
}

function origin(condition: GuardCondition, limit: number): string {
  switch (condition) {
    case "fall":
      return ` (the best so far − ${limit})`;
    case "rise":
      return ` (the base model's + ${limit})`;
    case "times":
      return ` (${limit} × the base model's)`;
    default:
      return "";
  }
}

/** Whether an iteration with these broken rules may be the best. */
export function isHealthy(broken: readonly BrokenRule[]): boolean {
  return broken.every(({ action }) => action === "warn");
}

/**
 * The better of the best so far and the newest iteration, both scored on the same questions. An unhealthy iteration is never the best;
 * of equal scores the earlier stays; without scores the newest healthy one is the best.
 */
export function chooseBest(before: GuardBest, newest: GuardBest & { readonly healthy: boolean }): GuardBest {
  const { healthy, ...candidate } = newest;
  if (!healthy) return before;
  if (before.score === undefined || candidate.score === undefined) return candidate;
  return candidate.score > before.score ? candidate : before;
}

/** What the broken rules lead to: the strongest action among them. A rollback beyond `rollbacksLeft` is a stop. */
export function decide(broken: readonly BrokenRule[], best: GuardBest, rollbacksLeft: number): GuardDecision {
  const strength = (action: GuardAction) => GUARD_ACTIONS.indexOf(action);
  const strongest = broken.reduce<GuardAction | undefined>(
    (found, { action }) => (found === undefined || strength(action) > strength(found) ? action : found),
    undefined,
  );
  if (strongest === undefined) return { action: "none" };
  if (strongest !== "rollback") return { action: strongest };
  return rollbacksLeft > 0 ? { action: "rollback", to: best.iteration } : { action: "stop" };
}
