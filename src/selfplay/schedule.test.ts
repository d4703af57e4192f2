import { expect, it } from "vitest";
import { parseConfigText } from "../config/load.ts";
import { phaseSteps, reasonToStop } from "./schedule.ts";

it("the first iteration may have its own number of steps", () => {
  const config = parseConfigText("schedule: { warmStart: { challengerSteps: 9 } }\n", "r.yaml");
  expect([1, 2].map((iteration) => phaseSteps(config, "challenger", iteration))).toEqual([9, 5]);
  expect([1, 2].map((iteration) => phaseSteps(config, "solver", iteration))).toEqual([15, 15]);
});

it("a run stops when too few questions are kept, or too few are different, and by default never", () => {
  const stop = (text: string, metrics: { kept: number; coverage?: { distinctShare: number } }) =>
    reasonToStop(parseConfigText(text, "r.yaml"), metrics, undefined);
  expect(stop("", { kept: 0, coverage: { distinctShare: 0 } })).toBeUndefined();
  expect(stop("schedule: { stop: { keptBelow: 50 } }", { kept: 50 })).toBeUndefined();
  expect(stop("schedule: { stop: { keptBelow: 50 } }", { kept: 49 })).toBe(
    "49 questions were kept, fewer than 50 (schedule.stop.keptBelow)",
  );
  expect(stop("schedule: { stop: { distinctBelow: 0.5 } }", { kept: 9, coverage: { distinctShare: 0.4 } })).toBe(
    "40.0 % of the questions are different texts, less than 50 % (schedule.stop.distinctBelow)",
  );
  expect(stop("schedule: { stop: { distinctBelow: 0.5 } }", { kept: 9 })).toBeUndefined();
});

it("a run stops when the guard's best iteration is too old; without a guard it has no age", () => {
  const { schedule } = parseConfigText("schedule: { stop: { patience: 2 } }", "r.yaml");
  const stop = (iteration: number, best: number) =>
    reasonToStop({ schedule }, { kept: 9 }, { iteration, best: { iteration: best } });
  expect(stop(3, 2)).toBeUndefined();
  expect(stop(3, 1)).toBe("the best iteration by the guard's score, 1, is 2 old (schedule.stop.patience)");
  expect(reasonToStop({ schedule }, { kept: 9 }, undefined)).toBeUndefined();
});
