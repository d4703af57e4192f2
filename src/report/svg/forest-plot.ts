// Estimates with their intervals, one per row, against a line of no effect, as one SVG document. Knows numbers and names only.

import { label, linearScale, niceTicks, round, rule, seriesColour, svgDocument } from "./frame.ts";

/** One estimate. `note` stands at the right end, the estimate as text. */
export interface ForestRow {
  readonly label: string;
  readonly value: number;
  readonly low: number;
  readonly high: number;
  readonly note?: string;
}

export interface ForestPlot {
  readonly title: string;
  readonly xLabel: string;
  readonly rows: readonly ForestRow[];
  readonly width?: number;
}

const ROW = 24;
const TOP = 44;

/**
 * A forest plot; rows whose interval holds 0 are drawn muted. An interval that reaches further than three times the largest estimate is cut
 * there, and one without ends is not drawn.
 */
export function forestPlot({ title, xLabel, rows, width = 760 }: ForestPlot): string {
  const bottom = TOP + rows.length * ROW + 6;
  const left = 24 + Math.max(80, ...rows.map((row) => row.label.length * 6.6));
  const right = width - 24 - Math.max(0, ...rows.map(({ note = "" }) => note.length * 6.6));
  const reach = 3 * Math.max(1, ...rows.map(({ value }) => Math.abs(value)));
  const ends = rows.flatMap(({ value, low, high }) =>
    Number.isFinite(low + high) ? [Math.max(low, -reach), Math.min(high, reach)] : [value],
  );
  const ticks = niceTicks(Math.min(0, ...ends), Math.max(0, ...ends));
  const [first, last] = [ticks[0], ticks[ticks.length - 1]];
  const x = linearScale([first, last], [left, right]);
  const drawRow = ({ label: name, value, low, high, note }: ForestRow, index: number) => {
    const y = TOP + (index + 0.5) * ROW;
    const colour = low > 0 || high < 0 ? seriesColour(0) : "var(--muted)";
    return [
      label({ x: left - 12, y: y + 4, text: name, anchor: "end" }),
      Number.isFinite(low + high)
        ? rule(x(Math.max(low, first)), y, x(Math.min(high, last)), y, colour).replace("/>", ' stroke-width="2"/>')
        : "",
      `<circle cx="${round(x(value))}" cy="${round(y)}" r="4" fill="${colour}"/>`,
      ...(note === undefined ? [] : [label({ x: right + 12, y: y + 4, text: note, muted: true })]),
    ].join("");
  };
  return svgDocument({
    title,
    width,
    height: bottom + 44,
    content: [
      ...ticks.flatMap((tick) => [
        rule(x(tick), TOP, x(tick), bottom, tick === 0 ? "var(--muted)" : undefined),
        label({ x: x(tick), y: bottom + 16, text: String(tick), anchor: "middle", muted: true }),
      ]),
      label({ x: (left + right) / 2, y: bottom + 36, text: xLabel, anchor: "middle", muted: true }),
      ...rows.map(drawRow),
    ],
  });
}
