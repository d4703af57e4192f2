// Estimates as text, and tables in Markdown. Pure.

import type { Estimate } from "./compare.ts";

/** A difference in points with its sign: "+3.2", "−0.4". */
export function signed(value: number): string {
  const text = Math.abs(value).toFixed(1);
  return value < 0 && text !== "0.0" ? `−${text}` : `+${text}`;
}

/** A difference with its interval and number of seeds: "+3.2 [+1.1, +5.3], 5 seeds". */
export function estimateText({ mean, low, high, seeds }: Estimate): string {
  const count = `${seeds.length} ${seeds.length === 1 ? "seed" : "seeds"}`;
  if (!Number.isFinite(low)) return `${signed(mean)}, ${count}`;
  return `${signed(mean)} [${signed(low)}, ${signed(high)}], ${count}`;
}

/** A level with its half-width: "72.5 ± 1.3"; "–" for nothing. */
export function levelText(found: Estimate | undefined, digits = 1): string {
  if (found === undefined) return "–";
  const half = found.high - found.mean;
  return Number.isFinite(half) ? `${found.mean.toFixed(digits)} ± ${half.toFixed(digits)}` : found.mean.toFixed(digits);
}

/** A Markdown table; cells are escaped. */
export function markdownTable(header: readonly string[], rows: readonly (readonly string[])[]): string {
  const line = (cells: readonly string[]) =>
    `| ${cells.map((cell) => cell.replace(/\|/g, "\\|").replace(/\n/g, " ")).join(" | ")} |`;
  return [line(header), `|${header.map(() => "---").join("|")}|`, ...rows.map(line)].join("\n");
}

/**
 * Replaces what stands between `<!-- begin NAME -->` and `<!-- end NAME -->`; blocks that the text does not have yet are added at its
 * end, so that prose around them is kept.
 */
export function replaceBlocks(text: string, blocks: Readonly<Record<string, string>>): string {
  return Object.entries(blocks).reduce((whole, [name, block]) => {
    const [begin, end] = [`<!-- begin ${name} -->`, `<!-- end ${name} -->`];
    const made = `${begin}\n${block.trim()}\n${end}`;
    const [from, to] = [whole.indexOf(begin), whole.indexOf(end)];
    if (from >= 0 && to > from) return `${whole.slice(0, from)}${made}${whole.slice(to + end.length)}`;
    return `${whole.trimEnd()}\n\n${made}\n`;
  }, text);
}
