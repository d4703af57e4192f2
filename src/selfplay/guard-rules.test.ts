import { describe, expect, it } from "vitest";
import { type GuardConfig, type GuardMeasure, guardSchema } from "../config/guard.ts";
import { brokenRules, chooseBest, decide, type GuardEntry, isHealthy } from "./guard-rules.ts";

/** A series of one measure; entry 0 is the base model. */
function series(measure: GuardMeasure, ...values: (number | undefined)[]): GuardEntry[] {
  return values.map((value, iteration) => ({ iteration, healthy: true, measures: { [measure]: value } }));
}

function rules(...given: unknown[]): Pick<GuardConfig, "rules" | "action"> {
  return guardSchema.parse({ rules: given, action: "rollback" });
}

describe("brokenRules", () => {
  it("compares with a fixed limit", () => {
    const low = rules({ measure: "distinct", below: 0.5 });
    expect(brokenRules(series("distinct", 1, 0.5), low)).toEqual([]);
    expect(brokenRules(series("distinct", 1, 0.4), low)).toEqual([
      {
        measure: "distinct",
        condition: "below",
        limit: 0.5,
        value: 0.4,
        action: "rollback",
        reason: "distinct 0.400 is below 0.500",
      },
    ]);
    expect(brokenRules(series("truncated", 0, 0.6), rules({ measure: "truncated", above: 0.5, action: "warn" }))).toMatchObject([
      { action: "warn", value: 0.6 },
    ]);
  });

  it("compares with the best so far, and leaves unhealthy iterations out of it", () => {
    const fall = rules({ measure: "selfConsistency", fall: 0.1 });
    expect(brokenRules(series("selfConsistency", 0.5, 0.8, 0.71), fall)).toEqual([]);
    expect(brokenRules(series("selfConsistency", 0.5, 0.8, 0.69), fall)).toMatchObject([{ limit: 0.8 - 0.1, value: 0.69 }]);
    const [base, peak, last] = series("selfConsistency", 0.5, 0.8, 0.69);
    expect(brokenRules([base, { ...peak, healthy: false }, last], fall)).toEqual([]);
  });

  it("compares with the base model", () => {
    expect(brokenRules(series("meanTokens", 10, 50, 41), rules({ measure: "meanTokens", times: 4 }))).toMatchObject([
      { limit: 40, value: 41 },
    ]);
    expect(brokenRules(series("meanTokens", 10, 39), rules({ measure: "meanTokens", times: 4 }))).toEqual([]);
    expect(brokenRules(series("truncated", 0.2, 0.45), rules({ measure: "truncated", rise: 0.3 }))).toEqual([]);
    expect(brokenRules(series("truncated", 0.2, 0.55), rules({ measure: "truncated", rise: 0.3 }))).toHaveLength(1);
  });

  it("waits for as many iterations in a row as a rule says", () => {
    const patient = rules({ measure: "entropy", below: 0.1, patience: 2 });
    expect(brokenRules(series("entropy", 1, 0.05), patient)).toEqual([]);
    expect(brokenRules(series("entropy", 1, 0.05, 0.2, 0.05), patient)).toEqual([]);
    expect(brokenRules(series("entropy", 1, 0.2, 0.05, 0.04), patient)).toMatchObject([{ value: 0.04 }]);
  });

  it("breaks nothing where a measure or what it is compared with is absent, and never for the base model", () => {
    expect(brokenRules(series("labelAccuracy", undefined, undefined), rules({ measure: "labelAccuracy", below: 1 }))).toEqual([]);
    expect(brokenRules(series("meanTokens", undefined, 50), rules({ measure: "meanTokens", times: 2 }))).toEqual([]);
    expect(brokenRules(series("distinct", 0.1), rules({ measure: "distinct", below: 0.5 }))).toEqual([]);
  });

  it("keeps a healthy run's series free of every default rule", () => {
    const healthy = [0.62, 0.68, 0.75, 0.78].map((selfConsistency, iteration) => ({
      iteration,
      healthy: true,
      measures: { selfConsistency, truncated: 0.01, entropy: 0.3, meanTokens: 30, klToBase: 0.2 * iteration, distinct: 0.96 },
    }));
    for (let end = 1; end <= healthy.length; end++) expect(brokenRules(healthy.slice(0, end), guardSchema.parse({}))).toEqual([]);
  });

  it("a rule has exactly one condition", () => {
    expect(() => rules({ measure: "distinct" })).toThrow(/exactly one of below, above, fall, rise, times/);
    expect(() => rules({ measure: "distinct", below: 1, above: 0 })).toThrow(/exactly one/);
  });
});

describe("the decision", () => {
  const broken = (action: "warn" | "stop" | "rollback") => ({
    ...brokenRules(series("distinct", 1, 0), rules({ measure: "distinct", below: 1 }))[0],
    action,
  });

  it("is the strongest action; a rollback too many is a stop", () => {
    const best = { iteration: 2, score: 0.7 };
    expect(decide([], best, 1)).toEqual({ action: "none" });
    expect(decide([broken("warn")], best, 1)).toEqual({ action: "warn" });
    expect(decide([broken("stop"), broken("warn")], best, 1)).toEqual({ action: "stop" });
    expect(decide([broken("stop"), broken("rollback")], best, 1)).toEqual({ action: "rollback", to: 2 });
    expect(decide([broken("rollback")], best, 0)).toEqual({ action: "stop" });
    expect([isHealthy([broken("warn")]), isHealthy([broken("warn"), broken("stop")])]).toEqual([true, false]);
  });

  it("the best is the highest score of a healthy iteration, the earlier of equal ones", () => {
    const before = { iteration: 1, score: 0.7 };
    expect(chooseBest(before, { iteration: 2, score: 0.71, healthy: true })).toEqual({ iteration: 2, score: 0.71 });
    expect(chooseBest(before, { iteration: 2, score: 0.7, healthy: true })).toEqual(before);
    expect(chooseBest(before, { iteration: 2, score: 0.9, healthy: false })).toEqual(before);
    expect(chooseBest({ iteration: 1 }, { iteration: 2, healthy: true })).toEqual({ iteration: 2 });
  });
});
