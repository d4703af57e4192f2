import { describe, expect, it } from "vitest";
import { parseConfigText } from "../config/load.ts";
import type { Phase, Role } from "../store/layout.ts";
import type { RunStore } from "../store/run-store.ts";
import { startOf } from "./standpoint.ts";

/** A store in which these phases are done, as `1/solver`; the guard of `rolledBack` went back to iteration 1. */
function storeOf(done: readonly string[], rolledBack?: number): RunStore {
  const iterations = [...new Set(done.map((place) => Number(place.split("/")[0])))].sort((a, b) => a - b);
  const known: Pick<RunStore, "iterations" | "phaseDone" | "readDone"> = {
    iterations: () => iterations,
    phaseDone: (iteration, phase) => done.includes(`${iteration}/${phase}`),
    readDone: (iteration) => ({ decision: iteration === rolledBack ? { action: "rollback", to: 1 } : { action: "none" } }),
  };
  return known as RunStore;
}

function start(options: string, done: readonly string[], role: Role, iteration: number, phase: Phase, rolledBack?: number) {
  const found = startOf({ store: storeOf(done, rolledBack), config: parseConfigText(options, "r.yaml") }, role, iteration, phase);
  return found && `${found.iteration}/${found.role}`;
}

const FIRST = ["1/challenger", "1/curriculum", "1/solver", "1/guard", "1/evaluation"];
const BOTH = [...FIRST, "2/challenger", "2/curriculum", "2/solver", "2/guard", "2/evaluation"];

describe("where a policy starts", () => {
  it.each([
    ["", undefined, "1/challenger"],
    ["challenger: { start: solver }", undefined, "1/solver"],
    ["challenger: { start: base }", undefined, undefined],
    ["roles: shared", undefined, "1/solver"],
  ])("the Challenger under %j", (options, first, second) => {
    expect(start(options, [], "challenger", 1, "challenger")).toBe(first);
    expect(start(options, FIRST, "challenger", 2, "challenger")).toBe(second);
    expect(start(options, [...FIRST, "2/challenger"], "challenger", 2, "curriculum")).toBe("2/challenger");
  });
  it("the Solver goes on from itself, or where one model has both roles from the Challenger", () => {
    const done = [...FIRST, "2/challenger", "2/curriculum"];
    expect(start("", done, "solver", 2, "solver")).toBe("1/solver");
    expect(start("challenger: { start: base }", done, "solver", 2, "solver")).toBe("1/solver");
    expect(start("roles: shared", done, "solver", 2, "solver")).toBe("2/challenger");
    expect(start("roles: shared", BOTH, "solver", 2, "evaluation")).toBe("2/solver");
  });
  it("an untrained Challenger stays the base, or is the Solver where it starts from it", () => {
    const done = ["1/curriculum", "1/solver", "1/evaluation"];
    expect(start("", done, "challenger", 2, "curriculum")).toBeUndefined();
    expect(start("challenger: { start: solver }", done, "challenger", 2, "curriculum")).toBe("1/solver");
  });
  it("after the guard went back, from what it went back to", () => {
    expect(start("", BOTH, "solver", 3, "challenger", 2)).toBe("1/solver");
    expect(start("roles: shared", BOTH, "challenger", 3, "challenger", 2)).toBe("1/solver");
    expect(start("challenger: { start: solver }", BOTH, "challenger", 3, "challenger", 2)).toBe("1/solver");
    expect(start("", BOTH, "solver", 3, "challenger")).toBe("2/solver");
  });
});
