import { describe, expect, it } from "vitest";
import { alignLines } from "./series.ts";

describe("alignLines", () => {
  it("puts lines of different steps on one axis", () => {
    const { x, lines } = alignLines([
      { label: "a", colour: 0, x: [1, 3], values: [0.1, 0.3] },
      { label: "b", colour: 1, x: [2, 3, 4], values: [0.2, null, 0.4] },
    ]);
    expect(x).toEqual([1, 2, 3, 4]);
    expect(lines).toEqual([
      { label: "a", colour: 0, values: [0.1, null, 0.3, null] },
      { label: "b", colour: 1, values: [null, 0.2, null, 0.4] },
    ]);
    expect(alignLines([])).toEqual({ x: [], lines: [] });
  });
});
