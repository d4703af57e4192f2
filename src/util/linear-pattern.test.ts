import { expect, it } from "vitest";
import { isLinearPattern, linearPattern } from "./linear-pattern.ts";

it("matches like any regular expression", () => {
  const pattern = linearPattern("^(What|How) .*\\?$");
  expect(["What is 2+2?", "How many?", "Say what?"].map((text) => pattern.test(text))).toEqual([true, true, false]);
});

it("ends at once where backtracking would not", () => {
  expect(linearPattern("^(a|a)*b$").test(`${"a".repeat(5000)}c`)).toBe(false);
});

it("refuses what is not linear, and what is no expression", () => {
  for (const pattern of ["(a)\\1", "(?=a)b", "(?<!a)b", "(", "a**"]) expect(isLinearPattern(pattern)).toBe(false);
  expect(isLinearPattern("[a-z]+[0-9]{1,3}")).toBe(true);
  expect(() => linearPattern("(a)\\1")).toThrow("regular expression: expected one that is matched in linear time");
});
