// --budget: a limit in dollars, tokens or hours at which a run stops as it does at Ctrl-C, saved and resumable. What was spent is kept
// with the run, so that a limit holds over all its resumptions. Knows no engine; tokens are told to it.

import type { Config } from "../config/schema.ts";
import { addTokens, type Prices, totalOf, usdOf } from "../engine/cost.ts";
import type { TokenCounts } from "../engine/metered.ts";
import type { RunStore } from "../store/run-store.ts";
import { readSpent, writeSpent } from "../store/spent.ts";
import { ConfigError, InterruptedError } from "../util/errors.ts";
import { formatCount, formatDuration } from "../util/format.ts";

/** One limit. */
export interface Limit {
  readonly unit: "usd" | "tokens" | "seconds";
  readonly most: number;
  /** As it was given. */
  readonly text: string;
}

const NONE: TokenCounts = { prompt: 0, sample: 0, train: 0 };
const SCALES: Readonly<Record<string, number>> = { "": 1, k: 1e3, m: 1e6, g: 1e9, b: 1e9, t: 1e12 };
const SECONDS: Readonly<Record<string, number>> = { s: 1, m: 60, min: 60, h: 3600, d: 86400 };
const SAVE_MS = 5000;

/** Reads `20usd`, `100M-tokens`, `2h`, or several with commas. Errors: ConfigError. */
export function parseBudget(text: string): Limit[] {
  return text.split(",").map((part) => {
    const one = part.trim();
    const [, amount, unit] = /^(\d+(?:\.\d+)?)\s*-?\s*([a-z-]+)$/i.exec(one) ?? [];
    const value = Number(amount);
    const name = (unit ?? "").toLowerCase();
    const tokens = /^([kmgbt]?)-?tokens?$/.exec(name);
    if (value > 0 && name === "usd") return { unit: "usd", most: value, text: one };
    if (value > 0 && tokens !== null) return { unit: "tokens", most: value * SCALES[tokens[1]], text: one };
    if (value > 0 && name in SECONDS) return { unit: "seconds", most: value * SECONDS[name], text: one };
    throw new ConfigError(`budget: expected dollars (20usd), tokens (100M-tokens) or time (2h, 90m), got "${one}".`);
  });
}

/** Counts what a run spends and tells when a limit is reached. */
export class Budget {
  readonly #limits: readonly Limit[];
  readonly #store: RunStore;
  readonly #prices: Prices;
  readonly #started = performance.now();
  readonly #before: number;
  readonly #controller = new AbortController();
  readonly #timers: NodeJS.Timeout[] = [];
  #engine: TokenCounts;
  #sampler: TokenCounts;
  #savedAt = 0;
  #reached: Limit | undefined;

  /** Errors: ConfigError for a limit that cannot be counted, or that is spent already; DataError for a damaged record. */
  constructor(limits: readonly Limit[], store: RunStore) {
    this.#limits = limits;
    this.#store = store;
    this.#prices = pricesOf(store.config);
    const spent = readSpent(store.layout.spent);
    this.#engine = spent?.engine ?? NONE;
    this.#sampler = spent?.sampler ?? NONE;
    this.#before = spent?.seconds ?? 0;
    const { engine, sampler } = this.#prices;
    if (limits.some(({ unit }) => unit === "usd") && engine === undefined && sampler === undefined)
      throw new ConfigError(
        "budget: expected engine.pricing or sampler.pricing in the configuration beside dollars, got neither.",
      );
    this.#check();
    if (this.#reached !== undefined)
      throw new ConfigError(
        `budget: expected more than what ${store.name} has spent (${this.describe()}), got ${this.#reached.text}. Give a larger one.`,
      );
    for (const { unit, most } of limits)
      if (unit === "seconds")
        this.#timers.push(setTimeout(() => this.#check(), Math.min(2 ** 31 - 1, 1000 * (most - this.seconds) + 5)).unref());
  }

  /** Aborts when a limit is reached. */
  get signal(): AbortSignal {
    return this.#controller.signal;
  }

  get seconds(): number {
    return this.#before + (performance.now() - this.#started) / 1000;
  }

  /** Tokens of the engine that trains, and of servers that answer. */
  spend(who: "engine" | "sampler", tokens: TokenCounts): void {
    if (who === "engine") this.#engine = addTokens(this.#engine, tokens);
    else this.#sampler = addTokens(this.#sampler, tokens);
    this.#check();
    if (performance.now() - this.#savedAt > SAVE_MS) this.save();
  }

  /** Records what was spent with the run. */
  save(): void {
    this.#savedAt = performance.now();
    writeSpent(this.#store.layout.spent, { engine: this.#engine, sampler: this.#sampler, seconds: this.seconds });
  }

  /** Ends the counting. */
  close(): void {
    for (const timer of this.#timers) clearTimeout(timer);
    this.save();
  }

  /** An interruption that a limit has caused, in its own words; any other error as it is. */
  explain(error: unknown, resumeCommand: string): unknown {
    if (!(error instanceof InterruptedError) || this.#reached === undefined) return error;
    return new InterruptedError(
      `budget: ${this.#reached.text} is reached (${this.describe()}); what is finished is saved. Go on with: ${resumeCommand} --budget LARGER`,
    );
  }

  /** What was spent, for people. */
  describe(): string {
    const tokens = formatCount(totalOf(this.#engine) + totalOf(this.#sampler));
    const { engine, sampler } = this.#prices;
    const usd = engine === undefined && sampler === undefined ? "" : `, $${this.#usd().toFixed(2)}`;
    return `${tokens} tokens${usd}, ${formatDuration(this.seconds)}`;
  }

  #usd(): number {
    return usdOf(this.#engine, this.#prices.engine) + usdOf(this.#sampler, this.#prices.sampler);
  }

  #check(): void {
    if (this.#reached !== undefined) return;
    const spent = { usd: this.#usd(), tokens: totalOf(this.#engine) + totalOf(this.#sampler), seconds: this.seconds };
    this.#reached = this.#limits.find(({ unit, most }) => spent[unit] >= most);
    if (this.#reached !== undefined) this.#controller.abort();
  }
}

/** The budget of a run: of the option, or none; a run that once had one goes on counting. Errors: as of Budget and parseBudget. */
export function openBudget(text: string | undefined, store: RunStore): Budget | undefined {
  if (text === undefined && readSpent(store.layout.spent) === undefined) return undefined;
  return new Budget(text === undefined ? [] : parseBudget(text), store);
}

/** Prices of a configuration. */
export function pricesOf({ engine, sampler }: Config): Prices {
  return { engine: engine.pricing, sampler: sampler?.pricing };
}
