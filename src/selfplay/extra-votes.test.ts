import { expect, it } from "vitest";
import { vote } from "../answer/vote.ts";
import { parseConfigText } from "../config/load.ts";
import { nearEdges } from "./extra-votes.ts";
import type { AnsweredQuestion } from "./questions.ts";

/** Question `k` has k of ten votes. */
const answered = new Map(
  Array.from({ length: 11 }, (_, count): [string, AnsweredQuestion] => {
    const answers = Array.from({ length: 10 }, (_, at) => (at < count ? "1" : undefined));
    return [`${count}`, { vote: vote(answers, { missing: "no-vote" }), answers, cut: [], truncated: 0 }];
  }),
);
const near = (extraVotes: string, questions = [...answered.keys()]) =>
  nearEdges(
    answered,
    questions,
    parseConfigText(`curriculum: { band: [0.3, 0.8], extraVotes: { answers: 5, ${extraVotes} } }`, "r.yaml").curriculum,
  );

it("are those within the margin of an end of the band, on both sides, the nearest first", () => {
  expect(near("margin: 0.1")).toEqual(["3", "8", "2", "4", "7", "9"]);
  expect(near("margin: 0")).toEqual(["3", "8"]);
});
it("are at most as many as asked for, each once; who has no votes has no share", () => {
  expect(near("margin: 0.1, maxQuestions: 3")).toEqual(["3", "8", "2"]);
  expect(near("margin: 0.1", ["9", "9", "unknown", "3"])).toEqual(["3", "9"]);
});
