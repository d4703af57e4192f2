// The plots of a study, made from its records alone: curves over iterations with bands over seeds, and differences as a forest plot.

import { forestPlot } from "../report/svg/forest-plot.ts";
import { type Curve, type CurvePoint, lineChart } from "../report/svg/line-chart.ts";
import { estimate, greedy, longest, type Measure, meanAtK, type RunMeasure, recordAt, runsOf } from "./compare.ts";
import { signed } from "./format.ts";
import type { RunRecord } from "./record.ts";
import { armDifferences, type StudyResult } from "./tables.ts";

/** File names and their SVG text. */
export function plots(study: StudyResult): Record<string, string> {
  return {
    "mean-at-8.svg": scoreCurves(study, "mean@8 at temperature 1, held-out questions", meanAtK),
    "greedy.svg": scoreCurves(study, "greedy, held-out questions", greedy),
    "label-accuracy.svg": labelCurves(study),
    "differences.svg": differences(study),
  };
}

function scoreCurves(study: StudyResult, title: string, measure: Measure): string {
  const forced = estimate(study.runs, ({ iterations: [{ forced: scores }] }) => scores && measure(scores));
  return lineChart({
    title: `${title}: mean over seeds, 95 % band`,
    xLabel: "iteration",
    yLabel: "%",
    curves: curvesOf(study, 0, (at) => (run) => {
      const record = recordAt(run, at);
      return record && measure(record.scores);
    }),
    marks: forced === undefined ? [] : [{ y: forced.mean, label: "base forced to think" }],
  });
}

function labelCurves(study: StudyResult): string {
  return lineChart({
    title: "label accuracy of the curriculum, by the oracle: mean over seeds, 95 % band",
    xLabel: "iteration",
    yLabel: "%",
    curves: curvesOf(study, 1, (at) => (run) => {
      const accuracy = run.iterations.find(({ iteration }) => iteration === at)?.curriculum?.labelAccuracy;
      return accuracy && 100 * accuracy;
    }),
  });
}

function curvesOf({ arms, runs }: StudyResult, first: number, at: (iteration: number) => RunMeasure): Curve[] {
  return arms
    .filter(({ curve, name }) => curve && runsOf(runs, name).length > 0)
    .map(({ title, name, against }) => {
      const of = runsOf(runs, name);
      const iterations = Array.from({ length: longest(of) + 1 - first }, (_, index) => index + first);
      const points = iterations.flatMap((x) => pointOf(of, x, at(x)));
      return { label: title, points, dashed: against === undefined ? undefined : true };
    });
}

/** Of two seeds Student's interval is as wide as the plot; their band would hide the others. */
const SEEDS_FOR_BAND = 3;

/** A point, with its band where there are seeds enough. */
function pointOf(runs: readonly RunRecord[], x: number, measure: RunMeasure): CurvePoint[] {
  const found = estimate(runs, measure);
  if (found === undefined) return [];
  const { mean: y, low, high } = found;
  return [found.seeds.length >= SEEDS_FOR_BAND ? { x, y, low: Math.max(0, low), high: Math.min(100, high) } : { x, y }];
}

function differences(study: StudyResult): string {
  return forestPlot({
    title: "Difference to the rival arm in mean@8, paired by seed, 95 % interval",
    xLabel: "points",
    rows: armDifferences(study, meanAtK).map(({ arm, found, rounds }) => ({
      label: `${arm.title} − ${arm.against}, ${rounds} it.`,
      value: found.mean,
      low: found.low,
      high: found.high,
      note: `${signed(found.mean)} (${found.seeds.length})`,
    })),
  });
}
