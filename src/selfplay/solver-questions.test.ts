import { describe, expect, it } from "vitest";
import { parseConfigText, parseOverride } from "../config/load.ts";
import type { CurriculumQuestion } from "./earlier.ts";
import { questionsAt, StepQuestions } from "./solver-questions.ts";

const questionsOfStep = <T>(seed: number, iteration: number, step: number, from: readonly T[], count: number) =>
  questionsAt(seed, iteration, { from: (step - 1) * count, count }, from);
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

describe("a Solver phase's questions", () => {
  const rows = (prefix: string, count: number): CurriculumQuestion[] =>
    Array.from({ length: count }, (_, index) => ({
      question: `${prefix}${index}`,
      pseudoLabel: "1",
      iteration: 1,
      line: index + 1,
    }));
  const configOf = (...options: string[]) => parseConfigText("seed: 3\n", "r.yaml", options.map(parseOverride));
  const texts = (questions: readonly { question: string }[]) => questions.map(({ question }) => question);

  it("are each drawn at most maxUses times, and end where another step cannot be filled", () => {
    const source = new StepQuestions(configOf("solver.maxUses=2", "solver.questionsPerStep=4"), 1, rows("q", 5), []);
    const drawn = [0, 4].flatMap((position) => source.take(1, position).questions);
    expect([0, 4, 6, 7, 8].map((position) => source.enough(position))).toEqual([true, true, true, false, false]);
    const all = [...texts(drawn), ...texts(source.more(8, 9))];
    expect(all.sort()).toEqual(["q0", "q1", "q2", "q3", "q4"].flatMap((text) => [text, text]));
    expect(source.more(8, 4)).toHaveLength(2);
  });
  it("continue after refills", () => {
    const source = new StepQuestions(configOf("solver.questionsPerStep=4"), 1, rows("q", 100), []);
    expect(source.position([{}, { drawn: 7 }, {}])).toBe(15);
    expect(texts(source.more(4, 4))).toEqual(texts(source.take(2, 4).questions));
  });
  it("hold the share of earlier ones that is asked for, once there are some", () => {
    const config = configOf("solver.replay=0.3", "solver.questionsPerStep=10");
    const first = new StepQuestions(config, 1, rows("q", 50), []).take(1, 0);
    expect([first.questions.filter(({ replayed }) => replayed).length, first.next]).toEqual([0, 10]);
    const source = new StepQuestions(config, 2, rows("q", 50), rows("old", 7));
    const second = [1, 2].map((step) => source.take(step, (step - 1) * 7));
    for (const { questions } of second) {
      expect(questions).toHaveLength(10);
      expect(questions.filter(({ replayed }) => replayed)).toHaveLength(3);
    }
    expect(second[1].next).toBe(14);
    expect(source.take(2, 7)).toEqual(second[1]);
    const old = second.flatMap(({ questions }) => texts(questions.filter(({ replayed }) => replayed)));
    expect(new Set(old).size).toBe(6);
  });
});
