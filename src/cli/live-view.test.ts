// The view of a running phase: what it draws of events, within the width, and how it rewrites itself.

import { describe, expect, it } from "vitest";
import type { ChallengerMetrics, RunEvent, SolverMetrics } from "../store/events.ts";
import { bar, oneLine, sparkline } from "../util/format.ts";
import { LiveBlock } from "../util/progress.ts";
import { LiveView } from "./live-view.ts";

function challengerStep(step: number, reward: number, example: string): RunEvent {
  const metrics = { reward, inBand: reward, voteShare: 0.75, klPenalty: 0.0012, entropy: 0.5 } as ChallengerMetrics;
  return {
    event: "challenger-step",
    iteration: 1,
    step,
    steps: 4,
    seconds: 2,
    metrics,
    example,
    exampleVote: { count: 5, m: 8 },
  };
}

function started(phase: "challenger" | "solver"): LiveView {
  const view = new LiveView();
  view.see({ event: "start", run: "r", recipe: "tiny", seed: 1, iterations: 3, resumed: false });
  view.see({ event: "phase", iteration: 1, phase, state: "start" });
  return view;
}

describe("the live view", () => {
  it("shows the phase, the activity, the reward's curve and the newest question with its vote", () => {
    const view = started("challenger");
    view.see(challengerStep(1, 0.1, "What is 1+1?"));
    view.see(challengerStep(2, 0.3, "What is 47+85?"));
    view.see({ event: "progress", iteration: 1, phase: "challenger", activity: "posing", done: 32, total: 128, tokens: 12_345 });
    expect(view.lines(100)).toEqual([
      "iteration 1/3 · challenger ██████████░░░░░░░░░░ 2/4 · 2.0s a step · 4.0s left",
      " posing ██░░░░░░░░ 32/128 · 12.3k tokens",
      " reward ▁█ 0.300 · in band 30.0 % · vote share 75.0 % · KL 0.0012 · entropy 0.500",
      " newest “What is 47+85?” 5 of 8 answers agree",
    ]);
    expect(view.summary()).toBe("2 steps  reward ▁█ 0.100 → 0.300  in band 10.0 → 30.0 %  vote share 75.0 → 75.0 %");
  });

  it("keeps every line within the terminal, whatever the model wrote", () => {
    const view = started("challenger");
    view.see(challengerStep(1, 0.1, `\u001b[2J${"漢字".repeat(200)}\r\nend`));
    for (const line of view.lines(40)) {
      expect(line).not.toContain("\u001b");
      expect([...line].reduce((sum, letter) => sum + (letter >= "\u2e80" && letter < "\ua4d0" ? 2 : 1), 0)).toBeLessThanOrEqual(
        40,
      );
    }
  });

  it("forgets a phase when the next begins", () => {
    const view = started("challenger");
    view.see(challengerStep(1, 0.1, "What is 1+1?"));
    view.see({ event: "phase", iteration: 1, phase: "solver", state: "start" });
    expect(view.summary()).toBeUndefined();
    expect(view.lines(80)).toEqual(["iteration 1/3 · solver"]);
    const metrics = {
      reward: 0.5,
      meanTokens: 20,
      zeroVarianceGroups: 3,
      groups: 9,
      klPenalty: 0,
      entropy: 0.1,
    } as SolverMetrics;
    view.see({ event: "solver-step", iteration: 1, step: 1, steps: 1, seconds: 1, metrics });
    expect(view.lines(80)[1]).toBe(" reward ▁ 0.500 · tokens 20.0 · equal groups 3/9 · KL 0.0000 · entropy 0.100");
  });
});

it("a block rewrites itself, not more than ten times a second, and goes away", () => {
  let nowMs = 0;
  let out = "";
  const block = new LiveBlock({ isTTY: true, columns: 40, write: (text) => (out += text) }, () => nowMs);
  block.draw(() => ["a", "b"]);
  nowMs = 50;
  block.draw(() => ["too soon"]);
  nowMs = 150;
  block.draw(() => ["c"]);
  block.clear();
  block.clear();
  expect(out).toBe("a\nb\n\r\u001b[2A\u001b[Jc\n\r\u001b[1A\u001b[J");
});

it("lines of text: curves, bars, cut texts", () => {
  expect(sparkline([0, 1, 2, 3])).toBe("▁▃▆█");
  expect(sparkline([5, 5])).toBe("▁▁");
  expect(sparkline([9, 0, 1], 2)).toBe("▁█");
  expect(sparkline([Number.NaN])).toBe("");
  expect([bar(0, 4), bar(0.5, 4), bar(1.5, 4)]).toEqual(["░░░░", "██░░", "████"]);
  expect(oneLine("a\n b\tc\u0007", 20)).toBe("a b c\uFFFD");
  expect(oneLine("abcdef", 4)).toBe("abc…");
});
