import { expect, it } from "vitest";
import { equivalent } from "./equivalent.ts";
import { vote } from "./vote.ts";

const same = (predicted: string, truth: string) => equivalent({ predicted, truth }, { policy: "mathruler" }).equivalent;

it.each([
  ["1/2", "\\frac{1}{2}"],
  ["0.5", "\\frac12"],
  ["50", "50\\%"],
  ["50%", "50"],
  ["x=5", "5"],
  ["5", "5 cm"],
  ["5", "5\\text{ apples}"],
  ["1,234", "1234"],
  ["\\$5", "5"],
  ["90", "90^\\circ"],
  ["(1,2)", "\\left(1, 2\\right)"],
  ["2\\sqrt{2}", "\\sqrt{8}"],
  ["x+1", "1+x"],
  ["\\text{Even}", "even"],
  ["None", "None"],
  ["3 million", "3*10^6"],
])("%j equals %j", (left, right) => {
  expect(same(left, right)).toBe(true);
});

it.each([
  ["2/4", "1/2"],
  ["(1,2)", "(2,1)"],
  ["[1,2)", "(1,2)"],
  ["\\{1,2\\}", "\\{2,1\\}"],
  ["5", "6"],
  ["x", "y"],
  ["None", "5"],
  ["", "5"],
])("%j is not %j", (left, right) => {
  expect(same(left, right)).toBe(false);
});

it("votes by its own rule", () => {
  const answers = ["50%", "50", "0.5"];
  expect(vote(answers, { missing: "none-vote", policy: "mathruler" })).toMatchObject({ majority: "50%", count: 2 });
  expect(vote(answers, { missing: "none-vote" })).toMatchObject({
    majority: "50%",
    count: 2,
    classes: [{ members: [0, 2] }, { members: [1] }],
  });
});
