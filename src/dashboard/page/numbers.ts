// Numbers as the page writes them: with their unit, as many digits as they carry, a dash where there is none. Pure.

export { formatBytes, formatCount, formatDuration } from "../../util/format.ts";

/** A share in percent: 0.527 → "52.7 %". */
export function percent(share: number | undefined | null, digits = 1): string {
  return share === undefined || share === null ? "–" : `${(100 * share).toFixed(digits)} %`;
}

/** A difference of shares in percentage points: 0.021 → "+2.1 pp". */
export function points(difference: number): string {
  const text = (100 * difference).toFixed(1);
  return `${difference >= 0 ? "+" : "−"}${text.replace("-", "")} pp`;
}

/** An interval of shares: "70.0–75.5 %". */
export function interval([low, high]: readonly [number, number]): string {
  return `${(100 * low).toFixed(1)}–${(100 * high).toFixed(1)} %`;
}

/** A number with about three figures, as on an axis: 0.01234 → "0.0123", 12345 → "12,345", 4.2e-7 → "4.2e-7". */
export function short(value: number | undefined | null): string {
  if (value === undefined || value === null || !Number.isFinite(value)) return "–";
  const size = Math.abs(value);
  if (size === 0) return "0";
  if (size < 0.0005) return value.toExponential(1).replace(/^-/, "−");
  const digits = size >= 100 ? 0 : size >= 10 ? 1 : size >= 1 ? 2 : size >= 0.1 ? 3 : 4;
  return value.toLocaleString("en", { maximumFractionDigits: digits }).replace("-", "−");
}

/** A whole number with thousands apart: 1000000 → "1,000,000". */
export function count(value: number): string {
  return value.toLocaleString("en");
}

/** How long ago, for people: "just now", "5 min ago", "3 h ago", else the day. */
export function ago(time: string, now: number): string {
  const seconds = (now - Date.parse(time)) / 1000;
  if (!Number.isFinite(seconds)) return "–";
  if (seconds < 45) return "just now";
  if (seconds < 5400) return `${Math.round(seconds / 60)} min ago`;
  if (seconds < 129_600) return `${Math.round(seconds / 3600)} h ago`;
  return time.slice(0, 10);
}
