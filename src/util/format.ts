// Numbers, durations and tables as people read them in a terminal. Pure text; knows nothing of runs.

/** 75 → "1m15s", 3.2 → "3.2s", 7300 → "2h01m". Input in seconds. */
export function formatDuration(seconds: number): string {
  if (!Number.isFinite(seconds) || seconds < 0) return "?";
  if (seconds < 9.95) return `${seconds.toFixed(1)}s`;
  const whole = Math.round(seconds);
  if (whole < 60) return `${whole}s`;
  if (whole < 3600) return `${Math.floor(whole / 60)}m${String(whole % 60).padStart(2, "0")}s`;
  return `${Math.floor(whole / 3600)}h${String(Math.floor((whole % 3600) / 60)).padStart(2, "0")}m`;
}

/** 0 → "0", 950 → "950", 12345 → "12.3k", 4.2e6 → "4.2M"; three figures or so. */
export function formatCount(value: number): string {
  const units = ["", "k", "M", "G", "T"];
  let scaled = value;
  let unit = 0;
  while (Math.abs(scaled) >= 999.5 && unit < units.length - 1) {
    scaled /= 1000;
    unit++;
  }
  if (unit === 0 && Number.isInteger(scaled)) return String(scaled);
  return `${scaled.toFixed(Math.abs(scaled) < 99.95 ? 1 : 0)}${units[unit]}`;
}

/** Bytes in binary units: 1536 → "1.5 KiB". */
export function formatBytes(bytes: number): string {
  const units = ["B", "KiB", "MiB", "GiB", "TiB"];
  let scaled = bytes;
  let unit = 0;
  while (scaled >= 1024 && unit < units.length - 1) {
    scaled /= 1024;
    unit++;
  }
  return `${unit === 0 ? scaled : scaled.toFixed(1)} ${units[unit]}`;
}

/** A share in [0, 1] in percent with one decimal: 0.4907 → "49.1"; "–" for undefined. */
export function formatPercent(value: number | undefined): string {
  return value === undefined ? "–" : (100 * value).toFixed(1);
}

/** How a column stands: text to the left, numbers to the right. */
export type Align = "left" | "right";

/** An aligned table: a header, a rule, rows. The first column is left-aligned, the others right, unless `align` says so. */
export function formatTable(header: readonly string[], rows: readonly (readonly string[])[], align?: readonly Align[]): string {
  const widths = header.map((title, column) => Math.max(title.length, ...rows.map((row) => (row[column] ?? "").length)));
  const side = (column: number) => align?.[column] ?? (column === 0 ? "left" : "right");
  const pad = (text: string, column: number) =>
    side(column) === "left" ? text.padEnd(widths[column]) : text.padStart(widths[column]);
  const line = (cells: readonly string[]) =>
    header
      .map((_, column) => pad(cells[column] ?? "", column))
      .join("  ")
      .trimEnd();
  return [line(header), widths.map((width) => "─".repeat(width)).join("  "), ...rows.map(line)].join("\n");
}
