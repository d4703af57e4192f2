// What the guard measured and decided, for people: one row per measure with its limits, one line per decision. Reads the store.

import type { GuardConfig, GuardMeasure } from "../config/guard.ts";
import { GUARD_CONDITIONS, GUARD_MEASURES } from "../config/guard.ts";
import type { GuardMeasures, GuardReport } from "../store/events.ts";
import type { RunStore } from "../store/run-store.ts";
import { type Table, tableText } from "./run-tables.ts";

/** Measures, limits, vote-share histogram and decisions of a run as text; an empty string when the guard has not measured yet. */
export function guardText(run: RunStore): string {
  const tables = guardTables(run);
  return tables.length === 0 ? "" : [...tables.map(tableText), guardDecisions(run).join("\n")].join("\n\n");
}

/** Measures with their limits, and the histogram of vote shares; none when the guard has not measured yet. */
export function guardTables(run: RunStore): Table[] {
  const reports = reportsOf(run);
  return reports.length === 0 ? [] : [measureTable(reports, run.config.guard), histogramTable(reports)];
}

function reportsOf(run: RunStore): GuardReport[] {
  return run
    .iterations()
    .filter((iteration) => iteration > 0 && run.phaseDone(iteration, "guard"))
    .map((iteration) => run.readDone(iteration, "guard") as unknown as GuardReport);
}

function measureTable(reports: readonly GuardReport[], guard: GuardConfig): Table {
  const columns: GuardMeasures[] = [reports[0].base ?? {}, ...reports.map(({ measures }) => measures)];
  const rows = GUARD_MEASURES.filter((measure) => columns.some((column) => column[measure] !== undefined)).map((measure) => [
    measure,
    ...columns.map((column) => column[measure]?.toFixed(3) ?? "–"),
    limitsOf(measure, guard),
  ]);
  const header = ["", "base", ...reports.map(({ iteration }) => `iteration ${iteration}`), "limits"];
  return { heading: "The guard (no benchmark enters)", header, rows, words: [header.length - 1] };
}

/** `fall 0.15 → rollback`. */
function limitsOf(measure: GuardMeasure, { rules, action }: GuardConfig): string {
  const texts = rules
    .filter((rule) => rule.measure === measure)
    .map((rule) => {
      const condition = GUARD_CONDITIONS.find((name) => rule[name] !== undefined) ?? "below";
      const often = rule.patience > 1 ? ` in ${rule.patience} iterations` : "";
      return `${condition} ${rule[condition]}${often} → ${rule.action ?? action}`;
    });
  return texts.join("; ") || "–";
}

function histogramTable(reports: readonly GuardReport[]): Table {
  const header = ["vote share", ...Array.from({ length: 10 }, (_, bin) => `${bin * 10}–${bin * 10 + 10} %`)];
  const rows = reports.map(({ iteration, histogram }) => [`iteration ${iteration}`, ...histogram.map(String)]);
  return { heading: "Questions of the pool by vote share", header, rows };
}

/** What the guard did and why, a line each, and the best iteration; none when it has not measured yet. */
export function guardDecisions(run: RunStore): string[] {
  const reports = reportsOf(run);
  if (reports.length === 0) return [];
  const lines = reports.flatMap(({ iteration, broken, decision }) => {
    if (broken.length === 0) return [];
    const reasons = broken.map(({ reason }) => reason).join("; ");
    const outcome = decision.action === "rollback" ? `rollback to iteration ${decision.to}` : decision.action;
    return [`iteration ${iteration}: ${outcome}, because ${reasons}`];
  });
  const { iteration, score } = (reports.at(-1) as GuardReport).best;
  return [...lines, `best iteration so far: ${iteration}${score === undefined ? "" : ` (score ${score.toFixed(3)})`}`];
}
