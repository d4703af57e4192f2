// The points of a run as CSV (RFC 4180), one row each: the form that data frames and spreadsheets pivot. Knows points, not runs.

import type { Point } from "./series.ts";

/** Header and rows; times in ISO 8601, numbers with every digit. */
export function metricsCsv(run: string, points: readonly Point[]): string {
  const rows = points.map(({ tag, iteration, step, time, value }) => {
    const when = Number.isFinite(time) ? new Date(time * 1000).toISOString() : "";
    return [run, tag, iteration, step, when, value].map((cell) => quoted(String(cell))).join(",");
  });
  return ["run,tag,iteration,step,time,value", ...rows, ""].join("\r\n");
}

/** Quotes where the text needs them; a benchmark's name is the user's. */
function quoted(text: string): string {
  return /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
}
