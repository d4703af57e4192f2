import { expect, it } from "vitest";
import { questionsOfStep } from "./solver-phase.ts";

const curriculum = ["a", "b", "c", "d", "e"];

it("uses every question once per pass, whatever the step size", () => {
  const drawn = [1, 2, 3, 4, 5].flatMap((step) => questionsOfStep(1, 1, step, curriculum, 3));
  for (let pass = 0; pass < 3; pass++) expect(drawn.slice(pass * 5, pass * 5 + 5).sort()).toEqual(curriculum);
});

it("shuffles each pass and each iteration anew, and repeats itself for the same seed", () => {
  const long = Array.from({ length: 50 }, (_, index) => index);
  const first = questionsOfStep(1, 1, 1, long, 50);
  expect(questionsOfStep(1, 1, 1, long, 50)).toEqual(first);
  expect(questionsOfStep(1, 1, 2, long, 50)).not.toEqual(first);
  expect(questionsOfStep(1, 2, 1, long, 50)).not.toEqual(first);
  expect(questionsOfStep(2, 1, 1, long, 50)).not.toEqual(first);
});

it("repeats questions when the curriculum is smaller than a step", () => {
  expect(questionsOfStep(1, 1, 1, ["a"], 3)).toEqual(["a", "a", "a"]);
});
