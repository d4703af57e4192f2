// The tables of what watches a run: label audit and guard, against the truth that neither sees. Pure: Markdown out.

import { runsOf } from "./compare.ts";
import { markdownTable, signed } from "./format.ts";
import type { StudyResult } from "./tables.ts";

/** Where the audit's interval misses the truth, by arm. */
export function labelTable({ arms, runs }: Pick<StudyResult, "arms" | "runs">): string {
  const rows = arms.flatMap(({ name, title }) => {
    const audited = runsOf(runs, name).flatMap(({ iterations }) =>
      iterations.flatMap(({ curriculum }) =>
        curriculum?.audit === undefined || curriculum.labelAccuracy === undefined
          ? []
          : [
              {
                error: curriculum.audit.mean - curriculum.labelAccuracy,
                truth: curriculum.labelAccuracy,
                ci95: curriculum.audit.ci95,
              },
            ],
      ),
    );
    if (audited.length === 0) return [];
    const covered = audited.filter(({ truth, ci95 }) => ci95[0] <= truth && truth <= ci95[1]).length;
    const average = (values: readonly number[]) => values.reduce((sum, value) => sum + value, 0) / values.length;
    return [
      [
        title,
        (100 * average(audited.map(({ truth }) => truth))).toFixed(1),
        (100 * Math.min(...audited.map(({ truth }) => truth))).toFixed(1),
        signed(100 * average(audited.map(({ error }) => error))),
        (100 * average(audited.map(({ error }) => Math.abs(error)))).toFixed(1),
        `${covered} of ${audited.length}`,
      ],
    ];
  });
  return markdownTable(
    ["arm", "true label accuracy %, mean", "lowest", "audit − truth, points", "|audit − truth|", "interval covers"],
    rows,
  );
}

/** What the guards decided, and whether they chose well. */
export function guardTable({ arms, runs }: Pick<StudyResult, "arms" | "runs">): string {
  const rows = arms.flatMap(({ name, title }) => {
    const of = runsOf(runs, name).filter(({ iterations }) => iterations.some(({ guard }) => guard !== undefined));
    if (of.length === 0) return [];
    const decisions = of.flatMap(({ iterations }) => iterations.flatMap(({ guard }) => guard ?? []));
    const count = (kindOf: string) => decisions.filter(({ action }) => action.startsWith(kindOf)).length;
    const choices = of.map((run) => {
      const end = run.iterations[run.iterations.length - 1];
      const scores = run.iterations.map(({ scores: { mean } }) => 100 * mean);
      const chosen = run.iterations.find(({ iteration }) => iteration === end.guard?.best);
      const best = Math.max(...scores);
      return {
        chosen: chosen?.iteration,
        missed: best - 100 * (chosen?.scores.mean ?? 0),
        last: best - scores[scores.length - 1],
      };
    });
    const mean = (values: readonly number[]) => (values.reduce((sum, value) => sum + value, 0) / values.length).toFixed(1);
    const rules = [...new Set(decisions.flatMap(({ broken }) => broken))];
    return [
      [
        title,
        `${count("warn")}, ${count("rollback")}, ${count("stop")}`,
        rules.join(", ") || "none",
        choices.map(({ chosen }) => String(chosen ?? "–")).join(", "),
        mean(choices.map(({ missed }) => missed)),
        mean(choices.map(({ last }) => last)),
      ],
    ];
  });
  return markdownTable(
    [
      "arm",
      "warnings, rollbacks, stops",
      "rules broken",
      "guard's best iteration by seed",
      "its mean@8 below the run's best",
      "last iteration's below it",
    ],
    rows,
  );
}
