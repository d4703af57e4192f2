// Puts lines that were measured at different x on one axis. Pure.

import type { Line } from "./parts/chart.tsx";

/** A line with an x of its own; x ascends. */
export interface OwnLine extends Omit<Line, "values"> {
  readonly x: readonly number[];
  readonly values: readonly (number | null)[];
}

/** The union of the x, and each line's values there; null where it has none. */
export function alignLines(given: readonly OwnLine[]): { x: number[]; lines: Line[] } {
  const x = [...new Set(given.flatMap((line) => line.x))].sort((a, b) => a - b);
  const at = new Map(x.map((value, index) => [value, index]));
  const lines = given.map(({ x: own, values, ...line }) => {
    const placed: (number | null)[] = new Array(x.length).fill(null);
    own.forEach((value, index) => {
      placed[at.get(value) as number] = values[index];
    });
    return { ...line, values: placed };
  });
  return { x, lines };
}
