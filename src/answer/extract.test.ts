import { expect, it } from "vitest";
import { extractBoxed } from "./extract.ts";

it.each([
  ["so \\boxed{42}.", "42"],
  ["\\boxed{1} then \\boxed{ 2 }", "2"],
  ["\\boxed{\\frac{1}{2}}", "\\frac{1}{2}"],
  ["\\boxed{\\boxed{7}}", "7"],
  ["\\boxed {7}", "7"],
  ["\\boxed{7} as I \\boxed said", "7"],
  ["\\boxed{\\{1, 2\\}}", "\\{1, 2\\}"],
  ["\\boxed{\\}}", "\\}"],
  ["no box", undefined],
  ["", undefined],
  ["\\boxed{}", undefined],
  ["\\boxed{  }", undefined],
  ["\\boxed{1} but then \\boxed{2", undefined],
])("the last box of %j holds %j", (text, answer) => {
  expect(extractBoxed(text)).toBe(answer);
});

it("is linear in hostile text", () => {
  expect(extractBoxed("\\boxed{".repeat(100_000))).toBeUndefined();
  expect(extractBoxed(`\\boxed{${"{".repeat(100_000)}`)).toBeUndefined();
  expect(extractBoxed("\\boxed ".repeat(100_000))).toBeUndefined();
});
