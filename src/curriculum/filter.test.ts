import { describe, expect, it } from "vitest";
import { vote } from "../answer/vote.ts";
import { type CurriculumFilterOptions, filterCurriculum, inBand, normaliseQuestion } from "./filter.ts";
import { type LabelledQuestion, labelQuestion } from "./question.ts";

const open: CurriculumFilterOptions = { band: [0, 1], filters: { words: false, textLabels: false }, deduplicate: "none" };
const labelled = (text: string, answers: (string | undefined)[] = ["1", "2"], wellFormed = true): LabelledQuestion =>
  labelQuestion({ text, wellFormed }, vote(answers, { missing: "no-vote" }));
const verdictsOf = (pool: LabelledQuestion[], options: Partial<CurriculumFilterOptions>) =>
  filterCurriculum(pool, { ...open, ...options }).verdicts;

it("joins a question with its vote", () => {
  expect(labelled("q", ["5", "5.0", undefined])).toEqual({
    question: { text: "q", wellFormed: true },
    pseudoLabel: "5",
    voteShare: 2 / 3,
    count: 2,
    votes: 2,
    m: 3,
    missing: 1,
    truncated: 0,
  });
});

describe("the band", () => {
  it("includes both ends whatever the rounding, for every count and m", () => {
    for (let m = 1; m <= 40; m++)
      for (let count = 0; count <= m; count++) {
        expect(inBand(count / m, [0.3, 0.8])).toBe(count * 10 >= m * 3 && count * 10 <= m * 8);
        expect(inBand(count / m, [0.5 - 0.2, 0.5 + 0.3])).toBe(count * 10 >= m * 3 && count * 10 <= m * 8);
      }
  });
  it("is 3 to 7 of 10 for the paper's δ of 0.25", () => {
    const kept = Array.from({ length: 11 }, (_, count) => count).filter((count) => inBand(count / 10, [0.25, 0.75]));
    expect(kept).toEqual([3, 4, 5, 6, 7]);
  });
  it("says on which side a question fell", () => {
    const pool = [labelled("a", ["1", "2", "3", "4"]), labelled("b", ["1", "1", "2", "3"]), labelled("c", ["1", "1", "1", "1"])];
    expect(verdictsOf(pool, { band: [0.3, 0.8] })).toEqual(["belowBand", "kept", "aboveBand"]);
  });
});

describe("rules", () => {
  it("drop malformed questions, held-out ones and those nobody voted on", () => {
    const pool = [labelled("a", ["1"], false), labelled("a  b", ["1"]), labelled("c", [undefined])];
    expect(verdictsOf(pool, { heldOut: new Set(["a b"]) })).toEqual(["malformed", "heldOut", "noVotes"]);
  });
  it("released words: boxes and proofs in the question, text or None as label", () => {
    const questions = ["A Box holds 3.", "Prove that 1 = 1.", "Give a proof.", "Improve 3.", "How many?"].map((text) =>
      labelled(text),
    );
    expect(verdictsOf(questions, { filters: { words: true, textLabels: false } })).toEqual([
      "questionWords",
      "questionWords",
      "questionWords",
      "kept",
      "kept",
    ]);
    const labels = ["\\text{yes}", "None", "yes"].map((answer) => labelled("q", [answer]));
    expect(verdictsOf(labels, { filters: { words: false, textLabels: true } })).toEqual(["textLabel", "textLabel", "kept"]);
    expect(verdictsOf([...questions, ...labels], {})).toEqual(Array(8).fill("kept"));
  });
  it("exact duplicates: the first kept one stays, whatever the spaces", () => {
    const pool = [labelled("a b", ["1", "2", "3", "4"]), labelled(" a\n b "), labelled("a b"), labelled("A b")];
    expect(verdictsOf(pool, { band: [0.3, 0.8], deduplicate: "exact" })).toEqual(["belowBand", "kept", "duplicate", "kept"]);
    expect(verdictsOf(pool, { band: [0.3, 0.8] })).toEqual(["belowBand", "kept", "kept", "kept"]);
    expect(normaliseQuestion(" a\n b ")).toBe("a b");
  });
  it("remedies: what fails the quality gate, and what an earlier iteration kept", () => {
    const faulty = { ...labelled("a"), question: { text: "a", wellFormed: true, fault: "length" } };
    const unanswered = { ...labelled("b", []), question: { text: "b", wellFormed: true, fault: "ownAnswer" } };
    const pool = [faulty, unanswered, labelled(" c  d "), labelled("e")];
    expect(verdictsOf(pool, { earlier: new Set(["c d"]) })).toEqual(["quality", "quality", "earlier", "kept"]);
    expect(verdictsOf([labelled("c d", ["1", "2", "3", "4"])], { earlier: new Set(["c d"]), band: [0.3, 1] })).toEqual([
      "belowBand",
    ]);
  });
  it("what the base model does not confirm is out, after every other rule but duplicates", () => {
    const pool = [labelled("a"), labelled("b"), labelled("c", ["1", "2", "3", "4"]), labelled("a")];
    const options = { band: [0.3, 1] as [number, number], deduplicate: "exact" as const, confirmed: new Set(["a"]) };
    expect(verdictsOf(pool, options)).toEqual(["kept", "unconfirmed", "belowBand", "duplicate"]);
  });
  it("counts add up to the pool and kept is in its order", () => {
    const pool = [labelled("b"), labelled("a", ["1"], false), labelled("a"), labelled("a")];
    const { kept, counts } = filterCurriculum(pool, { ...open, deduplicate: "exact" });
    expect(kept.map(({ question }) => question.text)).toEqual(["b", "a"]);
    expect(counts).toEqual({
      kept: 2,
      malformed: 1,
      heldOut: 0,
      quality: 0,
      noVotes: 0,
      belowBand: 0,
      aboveBand: 0,
      questionWords: 0,
      textLabel: 0,
      unconfirmed: 0,
      earlier: 0,
      duplicate: 1,
    });
  });
});
