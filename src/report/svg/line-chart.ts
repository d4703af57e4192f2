// Curves with bands, as one SVG document. Knows numbers and names only; what they mean is the caller's.

import { label, linearScale, niceTicks, round, rule, seriesColour, svgDocument } from "./frame.ts";

/** A point of a curve; `low` and `high` are the ends of its band. */
export interface CurvePoint {
  readonly x: number;
  readonly y: number;
  readonly low?: number;
  readonly high?: number;
}

export interface Curve {
  readonly label: string;
  /** Ascending in x. */
  readonly points: readonly CurvePoint[];
  readonly dashed?: boolean;
}

export interface LineChart {
  readonly title: string;
  readonly xLabel: string;
  readonly yLabel: string;
  readonly curves: readonly Curve[];
  /** Horizontal lines to compare with. */
  readonly marks?: readonly { readonly y: number; readonly label: string }[];
  readonly width?: number;
  readonly height?: number;
}

const MARGIN = { top: 44, left: 58, bottom: 44 };

/** A curve chart with its legend on the right. Points that are not finite are left out. */
export function lineChart(chart: LineChart): string {
  const { title, xLabel, yLabel, marks = [], width = 760, height = 380 } = chart;
  const curves = chart.curves.map((curve) => ({ ...curve, points: curve.points.filter(({ x, y }) => Number.isFinite(x + y)) }));
  const names = [...curves.map(({ label: name }) => name), ...marks.map(({ label: name }) => name)];
  const right = width - 40 - Math.max(60, ...names.map((name) => name.length * 6.6));
  const bottom = height - MARGIN.bottom;
  const points = curves.flatMap((curve) => curve.points);
  const yTicks = ticksOf([...points.flatMap(({ y, low = y, high = y }) => [low, high]), ...marks.map(({ y }) => y)]);
  const xs = points.map(({ x }) => x);
  const xEnds = xs.length === 0 ? ([0, 1] as const) : ([Math.min(...xs), Math.max(...xs)] as const);
  const xTicks = wholeTicks(...xEnds);
  const x = linearScale(xEnds[0] === xEnds[1] ? [xEnds[0] - 1, xEnds[1] + 1] : xEnds, [MARGIN.left, right]);
  const y = linearScale([yTicks[0], yTicks[yTicks.length - 1]], [bottom, MARGIN.top]);
  return svgDocument({
    title,
    width,
    height,
    content: [
      ...yTicks.flatMap((tick) => [
        rule(MARGIN.left, y(tick), right, y(tick)),
        label({ x: MARGIN.left - 8, y: y(tick) + 4, text: String(tick), anchor: "end", muted: true }),
      ]),
      ...xTicks.map((tick) => label({ x: x(tick), y: bottom + 18, text: String(tick), anchor: "middle", muted: true })),
      label({ x: (MARGIN.left + right) / 2, y: height - 8, text: xLabel, anchor: "middle", muted: true }),
      label({ x: 16, y: (MARGIN.top + bottom) / 2, text: yLabel, anchor: "middle", muted: true, rotate: -90 }),
      ...marks.map((mark) => rule(MARGIN.left, y(mark.y), right, y(mark.y), "var(--muted)", "2 4")),
      ...curves.map((curve, index) => band(curve, index, x, y)),
      ...curves.map((curve, index) => path(curve, index, x, y)),
      ...legend(curves, marks, right + 14),
    ],
  });
}

type Scale = (value: number) => number;

function ticksOf(values: readonly number[]): number[] {
  return values.length === 0 ? [0, 1] : niceTicks(Math.min(...values), Math.max(...values));
}

/** Whole numbers, at most about twelve of them. */
function wholeTicks(low: number, high: number): number[] {
  const step = Math.max(1, Math.ceil((high - low) / 12));
  const first = Math.ceil(low);
  return Array.from({ length: Math.floor((high - first) / step) + 1 }, (_, index) => first + index * step);
}

function band({ points }: Curve, index: number, x: Scale, y: Scale): string {
  const known = points.filter(({ low, high }) => low !== undefined && high !== undefined);
  if (known.length < 2) return "";
  const upper = known.map((point) => `${round(x(point.x))},${round(y(point.high ?? point.y))}`);
  const lower = known.map((point) => `${round(x(point.x))},${round(y(point.low ?? point.y))}`).reverse();
  return `<polygon points="${[...upper, ...lower].join(" ")}" fill="${seriesColour(index)}" opacity="0.16"/>`;
}

function path({ points, dashed }: Curve, index: number, x: Scale, y: Scale): string {
  const colour = seriesColour(index);
  const at = points.map((point) => `${round(x(point.x))},${round(y(point.y))}`);
  const dots = points.map((point) => `<circle cx="${round(x(point.x))}" cy="${round(y(point.y))}" r="2.5" fill="${colour}"/>`);
  return `<polyline points="${at.join(" ")}" fill="none" stroke="${colour}" stroke-width="2"${dashed ? ' stroke-dasharray="6 4"' : ""}/>${dots.join("")}`;
}

function legend(curves: readonly Curve[], marks: NonNullable<LineChart["marks"]>, left: number): string[] {
  const row = (index: number) => MARGIN.top + 8 + index * 20;
  const entry = (index: number, name: string, colour: string, dash: string) =>
    `${rule(left, row(index), left + 18, row(index), colour, dash).replace("/>", ' stroke-width="2"/>')}${label({ x: left + 24, y: row(index) + 4, text: name })}`;
  return [
    ...curves.map((curve, index) => entry(index, curve.label, seriesColour(index), curve.dashed ? "6 4" : "")),
    ...marks.map((mark, index) => entry(curves.length + index, mark.label, "var(--muted)", "2 4")),
  ];
}
