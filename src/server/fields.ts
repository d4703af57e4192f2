// Reads the fields of a JSON request one by one and knows which were read, so that what is left over is an error that names it
// instead of a wish silently ignored. null counts as absent. Knows nothing of what the fields mean.

import { badRequest, type Problem } from "./problem.ts";

/** A range of numbers. */
export interface Range {
  readonly low: number;
  readonly high?: number;
  /** `low` itself is out. */
  readonly open?: boolean;
}

/** See the file header. Errors of all methods: Problem 400 naming the field. */
export class Fields {
  readonly #body: Record<string, unknown>;
  readonly #seen = new Set<string>();

  constructor(body: unknown) {
    if (typeof body !== "object" || body === null || Array.isArray(body))
      throw badRequest(`body: expected a JSON object, got ${preview(body)}.`);
    this.#body = body as Record<string, unknown>;
  }

  /** The value as it came; undefined when absent or null. */
  raw(name: string): unknown {
    this.#seen.add(name);
    return Object.hasOwn(this.#body, name) ? (this.#body[name] ?? undefined) : undefined;
  }

  number(name: string, range: Range): number | undefined {
    const value = this.raw(name);
    if (value === undefined || inRange(value, range)) return value as number | undefined;
    throw wrong(name, describe("a number", range), value);
  }

  integer(name: string, range: Range): number | undefined {
    const value = this.raw(name);
    if (value === undefined || (Number.isInteger(value) && inRange(value, range))) return value as number | undefined;
    throw wrong(name, describe("a whole number", range), value);
  }

  boolean(name: string): boolean | undefined {
    const value = this.raw(name);
    if (value === undefined || typeof value === "boolean") return value;
    throw wrong(name, "true or false", value);
  }

  string(name: string): string | undefined {
    const value = this.raw(name);
    if (value === undefined || typeof value === "string") return value;
    throw wrong(name, "a string", value);
  }

  /** Whole numbers from 0 on. */
  integers(name: string): number[] {
    const value = this.raw(name) ?? [];
    if (Array.isArray(value) && value.every((item) => Number.isInteger(item) && item >= 0)) return value;
    throw wrong(name, "a list of token ids", value);
  }

  /** A field that may only say what happens anyway. */
  only(name: string, ...values: unknown[]): void {
    const value = this.raw(name);
    if (value === undefined || values.some((allowed) => same(allowed, value))) return;
    const expected = values.length > 0 ? values.map((allowed) => JSON.stringify(allowed)).join(" or ") : "none";
    throw wrong(name, `${expected} (this server does not support more)`, value);
  }

  /** Fields that change no token. */
  ignore(...names: string[]): void {
    for (const name of names) this.#seen.add(name);
  }

  /** Nothing may be left over. */
  end(): void {
    const left = Object.keys(this.#body).find((name) => !this.#seen.has(name) && this.#body[name] !== null);
    if (left === undefined) return;
    throw badRequest(
      `${left}: expected a field that this server supports, got ${preview(this.#body[left])}.`,
      left,
      "unsupported_field",
    );
  }
}

/** `name: expected X, got Y.` */
export function wrong(name: string, expected: string, got: unknown): Problem {
  return badRequest(`${name}: expected ${expected}, got ${preview(got)}.`, name);
}

/** A value, shortened for a message. */
export function preview(value: unknown): string {
  const text = JSON.stringify(value) ?? "nothing";
  return text.length > 80 ? `${text.slice(0, 80)}…` : text;
}

function inRange(value: unknown, { low, high = Number.POSITIVE_INFINITY, open }: Range): boolean {
  return typeof value === "number" && value <= high && (open ? value > low : value >= low);
}

function describe(kind: string, { low, high, open }: Range): string {
  if (high === undefined) return `${kind} ${open ? ">" : "≥"} ${low}`;
  return `${kind} in ${open ? "(" : "["}${low}, ${high}]`;
}

/** Equal as JSON, for the small values that `only` allows. */
function same(a: unknown, b: unknown): boolean {
  return JSON.stringify(a) === JSON.stringify(b);
}
