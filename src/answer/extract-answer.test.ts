import { describe, expect, it } from "vitest";
import { extractAnswer, extractAnswers } from "./extract-answer.ts";
import { gradeTexts } from "./grade-texts.ts";

describe("finds the final answer", () => {
  it.each([
    ["so \\boxed{42}.", "42"],
    ["\\boxed{1} then \\boxed{2}", "2"],
    ["\\boxed{1}, \\boxed{2} and \\boxed{3}", "1 , 2 , 3"],
    ["\\boxed{1} = \\boxed{2}", "2"],
    ["$\\boxed{28}$ percent", "28\\%"],
    ["we get $x=2$ and so $y=3$.", "y=3"],
    ["it is $2$ or $3$.", "2 , 3"],
    ["The distance is $125$ miles.", "125\\text{ miles}"],
    ["First \\(1+1\\), then \\[ 3 \\]", " 3 "],
    ["I used \\boxed{7} above. The final answer is $8$. I hope it is correct.", "8"],
    ["The final answer is $8$. So \\boxed{9}", "9"],
    ["Final Answer: Jane started 3 hours ago.", "3"],
    ["Final Answer: the number of points of $f(x)$ is 19.", "19"],
    ["The answer is 33.", "33"],
    ["The answer is 3/4, as 5 showed.", "3/4"],
    ["There were 12 and then 1,234.5 of them", "1,234.5"],
    ["it costs 2,74 in all of Europe", "2.74"],
    ["about 15 % of them", "15%"],
    ["x = 5", "x = 5"],
    ["Evelyn", "Evelyn"],
  ])("%j holds %j", (text, answer) => expect(extractAnswer(text)).toBe(answer));

  it("gives both readings of a decimal comma", () => expect(extractAnswers("1,22")).toEqual(["1.22", "1,22"]));
  it("finds nothing in nothing", () => {
    expect(extractAnswer("")).toBeUndefined();
    expect(extractAnswer("I do not know 🤷 anything about it, sorry".repeat(40))).toBeUndefined();
  });
  it("looks only where it is told", () => {
    expect(extractAnswer("so 5 is \\boxed{6}, not $7$", { kinds: ["plain"] })).toBe("5");
    expect(extractAnswer("so 5 is \\boxed{6}, not $7$", { kinds: ["formula"] })).toBe("7");
    expect(extractAnswer("Answer \\( \n 9 \n \\)", { kinds: ["box", "formula"] })).toBeUndefined();
  });
  it.each([
    ["The answer is (B).", "B"],
    ["\\boxed{C}", "C"],
    ["\\boxed{\\text{(D)}}", "D"],
    ["**Answer: E**", "E"],
    ["A is wrong. I choose (B) over (A)... (C)", "C"],
    ["B", "B"],
  ])("the choice of %j is %j", (text, letter) => expect(extractAnswer(text, { kinds: ["choice"] })).toBe(letter));
});

it("grades whole texts", () => {
  const grade = (predicted: string, truth: string) => gradeTexts({ predicted, truth }).equivalent;
  expect(grade("It follows that $x=\\frac12$ or $x=3$.", "$\\{3, 0.5\\}$")).toBe(true);
  expect(grade("It follows that $x=\\frac12$ or $x=4$.", "$\\{3, 0.5\\}$")).toBe(false);
  expect(grade("", "5")).toBe(false);
});

it("is linear in hostile text", () => {
  const started = performance.now();
  for (const piece of [
    "\\boxed{",
    "$",
    "\\(",
    "\\[",
    "$ $",
    "$$",
    "final answer is ",
    "answer is 1. ",
    "1,",
    "1 ",
    "a",
    "\\",
    "\\boxed{1},",
    "$1$ and ",
  ]) {
    const text = piece.repeat(1_000_000 / piece.length);
    gradeTexts({ predicted: text, truth: "17" });
  }
  expect(performance.now() - started).toBeLessThan(5000);
});
