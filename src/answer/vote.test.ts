import { describe, expect, it } from "vitest";
import { type VoteOptions, vote } from "./vote.ts";

const paper: VoteOptions = { missing: "no-vote" };
const released: VoteOptions = { missing: "none-vote" };

it("counts answers by meaning and keeps the first spelling", () => {
  const outcome = vote(["\\frac12", "3", "0.5", "50%", "3"], paper);
  expect(outcome).toEqual({
    majority: "\\frac12",
    count: 3,
    votes: 5,
    m: 5,
    share: 0.6,
    missing: 0,
    truncated: 0,
    classes: [
      { answer: "\\frac12", members: [0, 2, 3] },
      { answer: "3", members: [1, 4] },
    ],
  });
});

it("gives ties to the class seen first", () => {
  expect(vote(["2", "1", "1", "2"], paper).majority).toBe("2");
  expect(vote(["3", "1", "1", "2", "2"], paper).majority).toBe("1");
});

describe("missing answers", () => {
  const answers = ["4", undefined, undefined, undefined, "4"];
  it("have no vote and stay in the denominator (paper)", () => {
    expect(vote(answers, paper)).toMatchObject({ majority: "4", count: 2, votes: 2, m: 5, share: 0.4, missing: 3 });
  });
  it("vote as None (released)", () => {
    expect(vote(answers, released)).toMatchObject({ majority: "None", count: 3, votes: 5, m: 5, share: 0.6, missing: 3 });
  });
  it("leave no majority when nobody votes", () => {
    expect(vote([undefined, undefined], paper)).toMatchObject({ majority: undefined, count: 0, votes: 0, share: 0, classes: [] });
    expect(vote([], paper)).toMatchObject({ majority: undefined, m: 0, share: 0 });
  });
});

describe("truncated answers", () => {
  const answers = ["1", "2", "2", undefined];
  const truncated = [false, true, true, true];
  it("count like any other by default", () => {
    expect(vote(answers, { ...paper, truncated })).toMatchObject({ majority: "2", count: 2, votes: 3, truncated: 3, share: 0.5 });
  });
  it("can be no votes, with or without a box, under either rule for missing ones", () => {
    for (const options of [paper, released])
      expect(vote(answers, { ...options, truncated, truncatedVote: "no-vote" })).toMatchObject({
        majority: "1",
        count: 1,
        votes: 1,
        m: 4,
        share: 0.25,
        truncated: 3,
        missing: 1,
      });
  });
});

it("counts 10,000 questions of 10 integers each", () => {
  let total = 0;
  for (let question = 0; question < 10_000; question++) {
    const answers = Array.from({ length: 10 }, (_, i) => String((question * 7 + (i % 3) * (i % 2)) % 1000));
    total += vote(answers, paper).count;
  }
  expect(total).toBe(80_000 - 10_000);
});
