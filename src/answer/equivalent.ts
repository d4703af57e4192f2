// Says whether two answers mean the same: same kind and same canonical form, so the relation is reflexive, symmetric
// and transitive, and a vote may sort answers by key. Last of three steps: normalise → parse → compare.
// Scope: exact numbers, words, and expressions equal up to notation; sets, intervals and algebra are not analysed.
// Choices where graders differ: 50% is 1/2 (never 50); a unit is dropped; 0.333 is not 1/3 (no rounding).

import { type Parsed, parseAnswer } from "./parse.ts";

/** Verdict on a pair of answers; `reason` is one short sentence for people. */
export interface Verdict {
  readonly equivalent: boolean;
  readonly reason: string;
}

const CACHE_LIMIT = 50_000;
const cache = new Map<string, Parsed>();

/** The parsed answer, remembered: the same few strings come back thousands of times in a vote. */
function parseCached(raw: string): Parsed {
  let parsed = cache.get(raw);
  if (!parsed) {
    parsed = parseAnswer(raw);
    if (cache.size >= CACHE_LIMIT) cache.clear();
    if (raw.length <= 200) cache.set(raw, parsed);
  }
  return parsed;
}

/** Two answers are equivalent exactly when their keys are equal strings. */
export function canonicalKey(raw: string): string {
  const { kind, canonical } = parseCached(raw);
  return `${kind}:${canonical}`;
}

/** Compares an answer with the truth (or a pseudo-label). A missing answer is equivalent to nothing. */
export function equivalent({ predicted, truth }: { predicted: string | undefined; truth: string | undefined }): Verdict {
  if (predicted === undefined || truth === undefined)
    return { equivalent: false, reason: predicted === undefined ? "no answer was given" : "no truth was given" };
  const [left, right] = [parseCached(predicted), parseCached(truth)];
  const shown = `${show(left)} and ${show(right)}`;
  if (left.kind !== right.kind) return { equivalent: false, reason: `different kinds: ${shown}` };
  if (left.canonical === right.canonical) return { equivalent: true, reason: `both are the ${show(left)}` };
  return { equivalent: false, reason: `not equal: ${shown}` };
}

function show({ kind, canonical }: Parsed): string {
  return `${kind} ${canonical.length > 60 ? `${canonical.slice(0, 57)}...` : canonical}`;
}
