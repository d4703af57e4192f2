import { describe, expect, it } from "vitest";
import { canonicalKey, equivalent } from "./equivalent.ts";

const same = (predicted: string, truth: string) => equivalent({ predicted, truth }).equivalent;

describe("numbers", () => {
  it.each([
    ["1/2", "0.5"],
    ["1/2", "\\frac12"],
    ["1/2", "\\dfrac{1}{2}"],
    ["1/2", "\\tfrac{2}{4}"],
    ["1/2", "50%"],
    ["1/2", "50\\%"],
    ["1/2", "50 percent"],
    ["1/2", "50\\text{ percent}"],
    ["1/200", "1/2%"],
    ["1/2", "5\\% * 10"],
    ["1/2", ".5"],
    ["1/2", "\\frac{-1}{-2}"],
    ["-1/2", "-\\frac{1}{2}"],
    ["-1/2", "\\frac{1}{-2}"],
    ["-1/2", "\u2212 0.50"],
    ["1/2", "-(-\\frac{1}{2})"],
    ["1/2", "--0.5"],
    ["1/2", "\\frac{\\frac{1}{3}}{\\frac{2}{3}}"],
    ["1/2", "$\\left(\\frac{1}{2}\\right)$"],
    ["1/3", "0.\\overline{3}"],
    ["1/6", "0.1\\overline{6}"],
    ["3/2", "1\\frac{1}{2}"],
    ["-3/2", "-1\\frac{1}{2}"],
    ["3/2", "1 1/2"],
    ["3/2", "1½"],
    ["1234567", "1,234,567"],
    ["1234567", "1{,}234{,}567"],
    ["1234567", "1\\,234\\,567"],
    ["1234567", "1 234 567.0"],
    ["1234567", "\\$1,234,567.00"],
    ["5", "+5"],
    ["5", "005"],
    ["5", "5."],
    ["5", "x = 5"],
    ["5", "$x_1 = 5$"],
    ["5", "**5**"],
    ["5", "\\(5\\)"],
    ["5", "5\\text{ cm}^2"],
    ["5", "5 cm"],
    ["5", "5\\,\\mathrm{cm}"],
    ["5", "5 square meters"],
    ["90", "90^\\circ"],
    ["90", "90^{\\circ}"],
    ["90", "90°"],
    ["90", "90 degrees"],
    ["0", "-0"],
    ["0", "0.000"],
    ["1024", "2^{10}"],
    ["1000", "10^3"],
    ["0.001", "10^{-3}"],
    ["300000", "3 \\times 10^{5}"],
    ["1500", "1.5e3"],
    ["7", "3+4"],
    ["6", "2(3)"],
    ["-4", "-2^2"],
    ["2 \\cdot 3", "6"],
    ["12345678901234567890123", "12345678901234567890123.0"],
  ])("%j equals %j", (left, right) => {
    expect(same(left, right)).toBe(true);
    expect(same(right, left)).toBe(true);
  });

  it.each([
    ["50%", "50"],
    ["1/3", "0.333"],
    ["5", "-5"],
    ["32349", "32, 349"],
    ["1,2", "1.2"],
    ["34", "3 4"],
    ["5", "5x"],
    ["5", "5m"],
    ["5", "5!"],
    ["2", "2\\pi"],
    ["2", "2\\mathrm{e}"],
    ["3", "\\frac(3)"],
    ["102", "10²"],
    ["12:00", "1:00"],
    ["1234", "(1,234)"],
    ["2^{1000}", "2^{1000}+1"],
    ["12345678901234567890123", "12345678901234567890124"],
    ["1/0", "0"],
    ["1/0", "2/0"],
  ])("%j is not %j", (left, right) => {
    expect(same(left, right)).toBe(false);
    expect(same(right, left)).toBe(false);
  });
});

describe("words and expressions", () => {
  it.each([
    ["Evelyn", "\\text{Evelyn}"],
    ["even", "Even."],
    ["Yes", "yes"],
    ["(A)", "A"],
    ["\\text{(B)}", "b"],
    ["New  York", "\\text{New York}"],
    ["\\frac{9}{4}\\pi", "\\frac94 \\pi"],
    ["\\sqrt 2+\\sqrt 5", "\\sqrt{2} + \\sqrt{5}"],
    ["\\left(1, 2\\right)", "(1,2)"],
  ])("%j equals %j", (left, right) => expect(same(left, right)).toBe(true));

  it.each([
    ["even", "odd"],
    ["x+1", "X+1"],
    ["\\pi r", "\\pir"],
    ["7 = 11a+c", "11a+c"],
    ["(1,2)", "(2,1)"],
    ["None", "0"],
  ])("%j is not %j", (left, right) => expect(same(left, right)).toBe(false));
});

it("gives its reason", () => {
  expect(equivalent({ predicted: "0.5", truth: "1/2" })).toEqual({ equivalent: true, reason: "both are the number 1/2" });
  expect(equivalent({ predicted: "2", truth: "1/2" }).reason).toBe("not equal: number 2 and number 1/2");
  expect(equivalent({ predicted: "red", truth: "2" }).reason).toBe("different kinds: words red and number 2");
  expect(equivalent({ predicted: "0.333333", truth: "1/3" }).reason).toBe("equal: number 333333/1000000 and number 1/3");
  expect(equivalent({ predicted: undefined, truth: "2" })).toEqual({ equivalent: false, reason: "no answer was given" });
});

it("keys are equal for answers of one canonical form", () => {
  expect(canonicalKey("\\frac{2}{4}")).toBe(canonicalKey("50%"));
  expect(canonicalKey("5")).toBe(canonicalKey("five"));
  expect(canonicalKey("5")).not.toBe(canonicalKey("six"));
});

it("survives hostile answers at once", () => {
  const hostile = [
    "9^{9^{9^9}}",
    "2^{100000000}",
    "((2^{8000})^{8000})",
    "1e9999",
    "1e-9999",
    "(".repeat(3000),
    `${"(".repeat(400)}1${")".repeat(400)}`,
    "{".repeat(500) + "}".repeat(500),
    "9".repeat(50_000),
    `${"9".repeat(900)}^{9}`,
    "\\frac".repeat(200),
    "\\frac{1}".repeat(120),
    `${"-".repeat(999)}1`,
    "1 ".repeat(499),
    " ".repeat(50_000),
    "\\text{".repeat(150),
    `5${" ".repeat(900)}x`,
    "1,234".repeat(190),
  ];
  const started = performance.now();
  for (const text of hostile) {
    expect(same(text, text)).toBe(true);
    expect(same(text, "17")).toBe(false);
  }
  expect(performance.now() - started).toBeLessThan(2000);
  expect(same(`${"-".repeat(998)}1`, "1")).toBe(true);
  expect(same("9".repeat(50_000), "9".repeat(49_999))).toBe(false);
});
