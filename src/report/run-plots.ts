// The plots of a run's report: scores by iteration, rewards and health by step. Reads points, draws with svg/.

import { matrixGrid, readMatrix } from "../store/matrix.ts";
import type { RunStore, StoredEvent } from "../store/run-store.ts";
import { formatPercent } from "../util/format.ts";
import type { Block } from "./document.ts";
import { type Point, points } from "./export/series.ts";
import type { Table } from "./run-tables.ts";
import { type Curve, type CurvePoint, lineChart } from "./svg/line-chart.ts";

interface PlotSpec {
  readonly name: string;
  readonly title: string;
  readonly xLabel: string;
  readonly yLabel: string;
  /** Tag and legend of each curve; one with `band` has the tags of its interval's ends. */
  readonly curves: readonly { readonly tag: string; readonly label: string; readonly dashed?: boolean; readonly band?: string }[];
  /** Tag of a single value to compare with, and its legend. */
  readonly mark?: { readonly tag: string; readonly label: string };
  /** Shares are shown in percent. */
  readonly percent?: boolean;
}

const STEPS = "rollout step";
const PLOTS: readonly PlotSpec[] = [
  bothRoles("reward", "Reward", "mean reward", "reward"),
  {
    name: "questions",
    title: "The Challenger's questions",
    xLabel: STEPS,
    yLabel: "%",
    percent: true,
    curves: [
      { tag: "challenger/voteShare", label: "vote share" },
      { tag: "challenger/inBand", label: "in the band" },
      { tag: "challenger/wellFormed", label: "well-formed" },
    ],
  },
  {
    name: "labels",
    title: "Labels of the curriculum",
    xLabel: "iteration",
    yLabel: "%",
    percent: true,
    curves: [
      { tag: "curriculum/labelAccuracy", label: "right (truth)" },
      { tag: "curriculum/audit/mean", label: "right (probes)", dashed: true, band: "curriculum/audit/ci95" },
      { tag: "curriculum/keptVoteShare", label: "vote share" },
    ],
  },
  bothRoles("entropy", "Entropy of what is trained on", "nats per token", "entropy"),
  bothRoles("length", "Length of completions", "tokens", "meanTokens"),
  bothRoles("gradient", "Gradient norm before clipping", "norm", "gradNorm"),
];

/** One measure of the training steps of either role. */
function bothRoles(name: string, title: string, yLabel: string, measure: string): PlotSpec {
  const curves = [
    { tag: `challenger/${measure}`, label: "Challenger" },
    { tag: `solver/${measure}`, label: "Solver" },
  ];
  return { name, title, xLabel: STEPS, yLabel, curves };
}

/** From a run's events: scores, then what there is of the plots above, then the co-evolution matrix where it was measured. */
export function runPlots(store: RunStore, events: readonly StoredEvent[]): Block[] {
  const byTag = new Map<string, Point[]>();
  for (const point of points(events)) {
    const known = byTag.get(point.tag);
    if (known === undefined) byTag.set(point.tag, [point]);
    else known.push(point);
  }
  const drawn = [...scorePlots(byTag), ...PLOTS].flatMap((spec) => draw(spec, byTag));
  return [...drawn, ...matrixTables(store).map((table): Block => ({ kind: "table", table }))];
}

/** One plot per benchmark: greedy, sampled, and the base forced to think as a level to pass. */
function scorePlots(byTag: ReadonlyMap<string, readonly Point[]>): PlotSpec[] {
  const names = [...byTag.keys()].flatMap((tag) => /^evaluation\/(.+)\/mean$/.exec(tag)?.[1] ?? []);
  return names.map((name) => ({
    name: `score-${name.replace(/[^\w.-]+/g, "-")}`,
    title: `Score on ${name}`,
    xLabel: "iteration",
    yLabel: "%",
    percent: true,
    curves: [
      { tag: `evaluation/${name}/mean`, label: "sampled", band: `evaluation/${name}/ci95` },
      { tag: `evaluation/${name}/greedy`, label: "greedy" },
    ],
    mark: { tag: `evaluation-forced-prefix/${name}/mean`, label: "base, thinking" },
  }));
}

function draw(
  { name, title, xLabel, yLabel, curves, mark, percent }: PlotSpec,
  byTag: ReadonlyMap<string, readonly Point[]>,
): Block[] {
  const scale = percent ? 100 : 1;
  const drawn = curves.flatMap(({ tag, label, dashed, band }): Curve[] => {
    const found = byTag.get(tag) ?? [];
    if (found.length === 0) return [];
    const ends = [new Map<number, number>(), new Map<number, number>()];
    ["low", "high"].forEach((end, index) => {
      for (const { step, value } of byTag.get(`${band}/${end}`) ?? []) ends[index].set(step, value * scale);
    });
    const at = ({ step, value }: Point): CurvePoint => {
      const [low, high] = ends.map((values) => values.get(step));
      return { x: step, y: value * scale, low, high };
    };
    return [{ label, points: found.map(at), dashed }];
  });
  if (drawn.length === 0) return [];
  const level = mark === undefined ? undefined : byTag.get(mark.tag)?.at(-1);
  const marks = mark === undefined || level === undefined ? [] : [{ y: level.value * scale, label: mark.label }];
  const svg = lineChart({ title, xLabel, yLabel, curves: drawn, marks, width: 760, height: 300 });
  return [{ kind: "plot", svg, name, alt: title }];
}

/** Each iteration's Solver on each iteration's questions, where it was measured: share of answers that agree with the pseudo-label. */
function matrixTables(store: RunStore): Table[] {
  const { solvers, questions, cells } = matrixGrid(readMatrix(store.layout.matrix));
  if (cells.length === 0) return [];
  const header = ["Solver of", ...questions.map((iteration) => `questions of ${iteration}`)];
  const rows = solvers.map((solver, row) => [
    solver === 0 ? "base" : `iteration ${solver}`,
    ...cells[row].map((cell) => formatPercent(cell?.agreement)),
  ]);
  return [{ heading: "Answers that agree with the questions' own majority label, in %", header, rows }];
}
