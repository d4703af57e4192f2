import { describe, expect, it } from "vitest";
import { barOf, MAX_HEIGHT, rowsIn, scrolledHeight, topAfter } from "./scroll.ts";

const million = { content: 40_000_000, view: 600 };
const few = { content: 4_000, view: 600 };

describe("scroll", () => {
  it("is the identity for a list that fits", () => {
    expect(scrolledHeight(few)).toBe(4_000);
    expect(barOf(1_234, few)).toBe(1_234);
    expect(topAfter({ top: 0, before: 0, after: 3_400 }, few)).toBe(3_400);
  });

  it("moves a tall list by the pixels of a wheel", () => {
    expect(scrolledHeight(million)).toBe(MAX_HEIGHT);
    expect(topAfter({ top: 20_000_000, before: 4_000_000, after: 4_000_100 }, million)).toBe(20_000_100);
  });

  it("moves it in proportion when the bar is dragged, to both ends", () => {
    const end = MAX_HEIGHT - 600;
    expect(topAfter({ top: 0, before: 0, after: end }, million)).toBe(40_000_000 - 600);
    expect(topAfter({ top: 9_999, before: end, after: 0 }, million)).toBe(0);
    expect(barOf(40_000_000 - 600, million)).toBe(end);
  });

  it("never leaves the list", () => {
    expect(topAfter({ top: 30, before: 100, after: 0 }, million)).toBe(0);
    expect(topAfter({ top: 100, before: 0, after: 50 }, { content: 300, view: 600 })).toBe(0);
  });

  it("covers the window with rows", () => {
    expect(rowsIn(95, 10, 1_000, 20, 0)).toEqual([9, 12]);
    expect(rowsIn(0, 10, 1_000, 20, 5)).toEqual([0, 7]);
    expect(rowsIn(9_980, 10, 1_000, 20, 5)).toEqual([993, 1_000]);
  });
});
