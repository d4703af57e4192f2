// Readers of option values that several commands share. Each refuses a bad value with what it expected (commander adds the
// option's name; exit code 2).

import { InvalidArgumentError } from "commander";

/** A whole number of at least `low`. */
export function wholeNumber(low: number): (text: string) => number {
  return (text) => {
    const value = Number(text);
    if (text.trim() !== "" && Number.isSafeInteger(value) && value >= low) return value;
    throw new InvalidArgumentError(`Expected a whole number ≥ ${low}.`);
  };
}

/** A number in [low, high]. */
export function numberBetween(low: number, high = Number.POSITIVE_INFINITY): (text: string) => number {
  return (text) => {
    const value = Number(text);
    if (text.trim() !== "" && Number.isFinite(value) && value >= low && value <= high) return value;
    throw new InvalidArgumentError(
      `Expected a number ${high === Number.POSITIVE_INFINITY ? `≥ ${low}` : `in [${low}, ${high}]`}.`,
    );
  };
}

/** A whole number of at least 1, or `auto`. */
export function threadCount(text: string): number | "auto" {
  return text === "auto" ? "auto" : wholeNumber(1)(text);
}

/** Values of `--dtype`; int8 where weights are frozen only. */
export type DTypeOption = "auto" | "f32" | "bf16" | "int8";

/** Format of matrix products in training. */
export const trainableDType = (text: string) => oneOf("auto", "f32", "bf16")(text);
export const TRAINABLE_DTYPE_HELP = "format of matrix products: auto (bf16 where the CPU has it), f32 or bf16";

/** Format of matrix products with frozen weights. */
export const frozenDType = (text: string) => oneOf("auto", "f32", "bf16", "int8")(text);
export const FROZEN_DTYPE_HELP = "format of the weights: auto (bf16 where the CPU has it), f32, bf16 or int8";

/** One of the words. */
export function oneOf<T extends string>(...words: readonly T[]): (text: string) => T {
  return (text) => {
    const found = words.find((word) => word === text);
    if (found !== undefined) return found;
    throw new InvalidArgumentError(`Expected ${words.join(" or ")}.`);
  };
}

/** A comma-separated list of words, each one of `words`. */
export function listOf<T extends string>(...words: readonly T[]): (text: string) => T[] {
  const read = oneOf(...words);
  return (text) => text.split(",").map((word) => read(word.trim()));
}

/** Collects an option that may be repeated. */
export function collect(text: string, before: readonly string[] = []): string[] {
  return [...before, text];
}

/** An http or https address. */
export function httpAddress(text: string): string {
  if (URL.canParse(text) && /^https?:$/.test(new URL(text).protocol)) return text;
  throw new InvalidArgumentError("Expected an address such as http://localhost:5000.");
}
