// Progress of long work: one line that rewrites itself on a terminal, a plain line now and then in a log.
// Shows how far, at which rate, and how long it will still take. Knows only counts.

import { formatCount, formatDuration } from "./format.ts";

/** Where progress goes; process.stderr fits. */
export interface ProgressStream {
  readonly isTTY?: boolean;
  readonly columns?: number;
  write(text: string): unknown;
}

const TERMINAL_INTERVAL_MS = 100;
const LOG_INTERVAL_MS = 15_000;
const BAR_WIDTH = 20;

/** One running activity at a time; `note` lines go above it. */
export class ProgressLine {
  readonly #stream: ProgressStream;
  readonly #now: () => number;
  #label = "";
  #startedMs = 0;
  #startedDone = 0;
  #lastDrawMs = 0;
  #drawn = false;

  constructor(stream: ProgressStream = process.stderr, now: () => number = () => performance.now()) {
    this.#stream = stream;
    this.#now = now;
  }

  /** Reports `done` of `total` of an activity; a new label starts a new clock. `extra` is shown at the end. */
  update(label: string, done: number, total: number, extra = ""): void {
    const nowMs = this.#now();
    if (label !== this.#label) {
      this.#label = label;
      this.#startedMs = nowMs;
      this.#startedDone = done;
      this.#lastDrawMs = this.#stream.isTTY ? 0 : nowMs;
    }
    const interval = this.#stream.isTTY ? TERMINAL_INTERVAL_MS : LOG_INTERVAL_MS;
    if (nowMs - this.#lastDrawMs < interval && !(this.#stream.isTTY && done >= total)) return;
    this.#lastDrawMs = nowMs;
    this.#draw(this.#text(done, total, extra, nowMs));
  }

  /** Prints a line that stays. */
  note(text: string): void {
    this.clear();
    this.#stream.write(`${text}\n`);
  }

  /** Takes the rewriting line away. */
  clear(): void {
    if (this.#drawn) this.#stream.write("\r\x1b[K");
    this.#drawn = false;
  }

  #text(done: number, total: number, extra: string, nowMs: number): string {
    const seconds = (nowMs - this.#startedMs) / 1000;
    const rate = seconds > 0 ? (done - this.#startedDone) / seconds : 0;
    const left = rate > 0 && total > done ? `${formatDuration((total - done) / rate)} left` : "";
    const filled = total > 0 ? Math.min(BAR_WIDTH, Math.floor((BAR_WIDTH * done) / total)) : 0;
    const bar = this.#stream.isTTY ? ` ${"█".repeat(filled)}${"░".repeat(BAR_WIDTH - filled)}` : "";
    const parts = [`${done}/${total}`, rate > 0 ? `${formatCount(rate)}/s` : "", extra, left].filter((part) => part !== "");
    return `${this.#label}${bar} ${parts.join(" · ")}`;
  }

  #draw(text: string): void {
    if (!this.#stream.isTTY) {
      this.#stream.write(`${text}\n`);
      return;
    }
    this.#stream.write(`\r\x1b[K${text.slice(0, Math.max(20, (this.#stream.columns ?? 80) - 1))}`);
    this.#drawn = true;
  }
}
