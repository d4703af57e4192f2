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

/** A curve in one line of text: the last `width` values, scaled to their own range; flat when they are equal. */
export function sparkline(values: readonly number[], width = 24): string {
  const shown = values.slice(-width).filter(Number.isFinite);
  const low = Math.min(...shown);
  const span = Math.max(...shown) - low;
  return shown.map((value) => SPARKS[span === 0 ? 0 : Math.round(((value - low) / span) * (SPARKS.length - 1))]).join("");
}

const SPARKS = [..."▁▂▃▄▅▆▇█"];

/** A bar of `width` cells. */
export function bar(share: number, width = 20): string {
  const filled = Math.max(0, Math.min(width, Math.floor(share * width)));
  return "█".repeat(filled) + "░".repeat(width - filled);
}

/** Text from outside on one line of a terminal: no control character reaches it; what is longer than `columns` is cut. */
export function oneLine(text: string, columns: number): string {
  let used = 0;
  let out = "";
  for (const character of text.replace(/\s+/g, " ").replace(/[\p{Cc}\p{Cf}\p{Cs}]/gu, "\uFFFD")) {
    const width = isWide(character) ? 2 : 1;
    if (used + width > columns - 1) return `${out}…`;
    out += character;
    used += width;
  }
  return out;
}

/** Two cells: East Asian letters and most symbols beyond the basic plane. */
function isWide(character: string): boolean {
  const point = character.codePointAt(0) ?? 0;
  return (
    (point >= 0x1100 && point <= 0x115f) ||
    (point >= 0x2e80 && point <= 0xa4cf) ||
    (point >= 0xac00 && point <= 0xd7a3) ||
    (point >= 0xf900 && point <= 0xfaff) ||
    (point >= 0xfe30 && point <= 0xfe6f) ||
    (point >= 0xff00 && point <= 0xff60) ||
    point >= 0x1f300
  );
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
