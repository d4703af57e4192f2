// Regular expressions from a configuration, matched in time linear in the text whatever the pattern: V8's non-backtracking engine,
// which refuses back-references, look-around and Unicode properties. Knows no question.

import { setFlagsFromString } from "node:v8";
import { ConfigError } from "./errors.ts";

/** Compiles a pattern. Errors: ConfigError for one that is none, or that cannot be matched in linear time. */
export function linearPattern(pattern: string): RegExp {
  // The flag only adds the letter `l`; other patterns are compiled as before.
  setFlagsFromString("--enable-experimental-regexp-engine");
  try {
    return new RegExp(pattern, "l");
  } catch (error) {
    throw new ConfigError(`regular expression: expected one that is matched in linear time, got: ${(error as Error).message}.`);
  }
}

/** Whether `linearPattern` takes it. */
export function isLinearPattern(pattern: string): boolean {
  try {
    linearPattern(pattern);
    return true;
  } catch {
    return false;
  }
}
