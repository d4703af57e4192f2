// One small line chart: a title with its unit, values read at the cursor, shared between charts of a group. The canvas has a text
// equivalent; colours come from the theme, and lines differ by dash as well. Knows no metric.

import { useEffect, useRef, useState } from "preact/hooks";
import uPlot from "uplot";
import "uplot/dist/uPlot.min.css";
import { short } from "../numbers.ts";
import { cssColour, theme } from "../theme.ts";

/** One line; `values` stand at the chart's x, null where nothing was measured. */
export interface Line {
  readonly label: string;
  readonly values: readonly (number | null)[];
  /** Index into the palette and the dashes. */
  readonly colour: number;
  /** A limit: thin, without points. */
  readonly limit?: boolean;
}

/** An x from which on something else holds: an iteration begins. */
export interface Mark {
  readonly x: number;
  readonly label: string;
}

export interface ChartProps {
  readonly title: string;
  readonly x: readonly number[];
  readonly lines: readonly Line[];
  readonly marks?: readonly Mark[];
  /** Charts of one group share the cursor. */
  readonly group: string;
  /** What x counts, for the text equivalent: "step". */
  readonly xName: string;
  /** How a value is written; default: about three figures. */
  readonly format?: (value: number) => string;
  readonly height?: number;
}

const DASHES = [[], [6, 3], [2, 2], [8, 3, 2, 3], [10, 4], [3, 5]];
const COLOURS = 6;
/** Room above the plot for the labels of marks, CSS pixels. */
const MARK_HEIGHT = 14;

/** The colour of a line as a custom property's name. */
export function lineColour(index: number): string {
  return `--line-${(index % COLOURS) + 1}`;
}

/** A chart as wide as its place. */
export function Chart(props: ChartProps) {
  const place = useRef<HTMLDivElement>(null);
  const plot = useRef<uPlot | undefined>(undefined);
  const [at, setAt] = useState<number | null>(null);
  const { title, x, lines, group, format = short, height = 132 } = props;
  const marks = useRef(props.marks);
  marks.current = props.marks;
  const labels = lines.map(({ label, colour }) => `${label}:${colour}`).join("|");
  useEffect(() => {
    const element = place.current as HTMLDivElement;
    const made = new uPlot(
      options({ width: element.clientWidth, height, group, format, lines, marks: () => marks.current ?? [], onCursor: setAt }),
      dataOf(x, lines),
      element,
    );
    plot.current = made;
    const resized = new ResizeObserver(() => made.setSize({ width: element.clientWidth, height }));
    resized.observe(element);
    return () => {
      resized.disconnect();
      made.destroy();
    };
  }, [theme.value, labels, group, height]);
  useEffect(() => plot.current?.setData(dataOf(x, lines)), [x, lines]);
  const index = at !== null && at < x.length ? at : undefined;
  return (
    <figure class="chart">
      <figcaption>
        <span class="chart-title">{title}</span>
        <Readout lines={lines} index={index} format={format} />
      </figcaption>
      <div ref={place} class="chart-plot" role="img" aria-label={describe(props)} />
    </figure>
  );
}

function Readout({
  lines,
  index,
  format,
}: {
  readonly lines: readonly Line[];
  readonly index: number | undefined;
  readonly format: (value: number) => string;
}) {
  return (
    <span class="chart-values">
      {lines.map(({ label, values, colour, limit }) => {
        const value = index === undefined ? last(values) : values[index];
        return (
          <span key={label} class="chart-value" title={label}>
            {limit ? "limit " : lines.length > 1 && <Swatch colour={colour} />}
            {value === null || value === undefined ? "–" : format(value)}
          </span>
        );
      })}
    </span>
  );
}

/** A short line in the colour and dash of a series. */
export function Swatch({ colour }: { readonly colour: number }) {
  return (
    <svg class="swatch" viewBox="0 0 18 6" aria-hidden="true">
      <line
        x1="0"
        y1="3"
        x2="18"
        y2="3"
        class={`stroke-${(colour % COLOURS) + 1}`}
        stroke-width="2"
        stroke-dasharray={DASHES[colour % DASHES.length].join(" ")}
      />
    </svg>
  );
}

function last(values: readonly (number | null)[]): number | null {
  return values.findLast((value) => value !== null) ?? null;
}

function describe({ title, x, lines, xName, format = short }: ChartProps): string {
  const parts = lines.map(({ label, values }) => {
    const measured = values.filter((value) => value !== null);
    if (measured.length === 0) return `${label}: nothing measured`;
    const range = `from ${format(Math.min(...measured))} to ${format(Math.max(...measured))}`;
    return `${label}: ${range}, last ${format(measured[measured.length - 1])}`;
  });
  return `${title} over ${x.length} points by ${xName}. ${parts.join(". ")}.`;
}

function dataOf(x: readonly number[], lines: readonly Line[]): uPlot.AlignedData {
  return [x as number[], ...lines.map(({ values }) => values as (number | null)[])];
}

interface Shape {
  readonly width: number;
  readonly height: number;
  readonly group: string;
  readonly format: (value: number) => string;
  readonly lines: readonly Line[];
  readonly marks: () => readonly Mark[];
  readonly onCursor: (index: number | null) => void;
}

function options({ width, height, group, format, lines, marks, onCursor }: Shape): uPlot.Options {
  const muted = cssColour("--muted");
  const font = "11px system-ui, sans-serif";
  const axis = { stroke: muted, font, ticks: { show: false }, grid: { stroke: cssColour("--grid"), width: 1 } };
  return {
    width,
    height,
    padding: [MARK_HEIGHT, 8, 0, 0],
    legend: { show: false },
    cursor: { sync: { key: group }, drag: { x: true, y: false }, points: { size: 6 } },
    scales: { x: { time: false }, y: { range: paddedRange } },
    axes: [
      {
        ...axis,
        size: 22,
        gap: 2,
        space: 48,
        grid: { show: false },
        incrs: [1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000, 1e4, 1e5],
      },
      { ...axis, size: 50, gap: 4, space: 22, values: (_, ticks) => ticks.map((tick) => format(tick)) },
    ],
    series: [{}, ...lines.map((line) => seriesOf(line, lines.length === 1))],
    hooks: {
      drawClear: [(plot) => drawMarks(plot, marks(), muted, cssColour("--grid"))],
      setCursor: [(plot) => onCursor(plot.cursor.idx ?? null)],
    },
  };
}

function seriesOf({ label, colour, limit, values }: Line, alone: boolean): uPlot.Series {
  const stroke = cssColour(lineColour(colour));
  const few = values.length <= 12;
  return {
    label,
    stroke,
    width: limit ? 1 : 1.75,
    dash: limit ? [2, 3] : alone ? [] : DASHES[colour % DASHES.length],
    spanGaps: true,
    points: { show: few && !limit, size: 5, fill: stroke },
  };
}

/** A flat line stands in the middle, not on the edge; a curve gets a little air. */
function paddedRange(_: uPlot, low: number | null, high: number | null): [number, number] {
  if (low === null || high === null) return [0, 1];
  if (low === high) return low === 0 ? [0, 1] : [low - Math.abs(low) / 2, low + Math.abs(low) / 2];
  const air = (high - low) * 0.06;
  return [low >= 0 && low - air < 0 ? 0 : low - air, high + air];
}

function drawMarks(plot: uPlot, marks: readonly Mark[], text: string, line: string): void {
  const { ctx, bbox } = plot;
  const ratio = devicePixelRatio;
  ctx.save();
  ctx.font = `${10 * ratio}px system-ui, sans-serif`;
  ctx.textBaseline = "bottom";
  ctx.lineWidth = ratio;
  for (const { x, label } of marks) {
    const at = Math.round(plot.valToPos(x, "x", true));
    if (at < bbox.left || at > bbox.left + bbox.width) continue;
    ctx.strokeStyle = line;
    ctx.beginPath();
    ctx.moveTo(at, bbox.top);
    ctx.lineTo(at, bbox.top + bbox.height);
    ctx.stroke();
    ctx.fillStyle = text;
    ctx.fillText(label, at - 1 * ratio, bbox.top - 1 * ratio);
  }
  ctx.restore();
}
