// Text for terminals: figures, tables, and the progress line on a terminal and in a log.

import { describe, expect, it } from "vitest";
import { formatBytes, formatCount, formatDuration, formatPercent, formatTable } from "./format.ts";
import { editDistance, nearest } from "./nearest.ts";
import { ProgressLine } from "./progress.ts";

describe("figures", () => {
  it("durations, counts, bytes and shares", () => {
    expect([0.04, 9.94, 9.96, 59.4, 59.6, 75, 3599.6, 7300, -1].map(formatDuration)).toEqual([
      "0.0s",
      "9.9s",
      "10s",
      "59s",
      "1m00s",
      "1m15s",
      "1h00m",
      "2h01m",
      "?",
    ]);
    expect([0, 950, 999.6, 12345, 4.2e6, 0.25].map(formatCount)).toEqual(["0", "950", "1.0k", "12.3k", "4.2M", "0.3"]);
    expect([5, 1536, 3 * 1024 ** 3].map(formatBytes)).toEqual(["5 B", "1.5 KiB", "3.0 GiB"]);
    expect([formatPercent(0.49074), formatPercent(undefined)]).toEqual(["49.1", "–"]);
  });

  it("tables are aligned", () => {
    expect(
      formatTable(
        ["name", "mean"],
        [
          ["base", "47.0"],
          ["iteration 1", "5.1"],
        ],
      ),
    ).toBe(["name         mean", "───────────  ────", "base         47.0", "iteration 1   5.1"].join("\n"));
  });
});

describe("the progress line", () => {
  const draw = (isTTY: boolean, calls: [ms: number, done: number][]) => {
    let nowMs = 0;
    let out = "";
    const line = new ProgressLine({ isTTY, columns: 100, write: (text) => (out += text) }, () => nowMs);
    for (const [ms, done] of calls) {
      nowMs = ms;
      line.update("work", done, 100);
    }
    line.note("end");
    return out;
  };

  it("rewrites itself on a terminal, with rate and time left", () => {
    const out = draw(true, [
      [1000, 0],
      [1010, 1],
      [11_000, 50],
    ]);
    expect(out).toContain("\r\x1b[Kwork ██████████░░░░░░░░░░ 50/100 · 5/s · 10s left");
    expect(out).not.toContain("1/100 ·");
    expect(out.endsWith("\r\x1b[Kend\n")).toBe(true);
  });

  it("is a plain line now and then in a log", () => {
    expect(
      draw(false, [
        [1000, 0],
        [5000, 1],
        [21_000, 40],
      ]),
    ).toBe("work 40/100 · 2/s · 30s left\nend\n");
  });
});

describe("nearest word", () => {
  it("finds typing slips and refuses far words", () => {
    expect(editDistance("kitten", "sitting")).toBe(3);
    expect(nearest("stepz", ["seed", "steps", "sampling"])).toBe("steps");
    expect(nearest("zzzzzz", ["seed", "steps"])).toBeUndefined();
  });
});
