// Progress of long work: one line that rewrites itself on a terminal, a plain line now and then in a log.
// Shows how far, at which rate, and how long it will still take. Knows only counts.

import { bar, formatCount, formatDuration } from "./format.ts";

/** Where progress goes; process.stderr fits. */
export interface ProgressStream {
  readonly isTTY?: boolean;
  readonly columns?: number;
  write(text: string): unknown;
}

const TERMINAL_INTERVAL_MS = 100;
const LOG_INTERVAL_MS = 15_000;

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
    const drawn = this.#stream.isTTY ? ` ${bar(total > 0 ? done / total : 0)}` : "";
    const parts = [`${done}/${total}`, rate > 0 ? `${formatCount(rate)}/s` : "", extra, left].filter((part) => part !== "");
    return `${this.#label}${drawn} ${parts.join(" · ")}`;
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

/** Several lines that rewrite themselves on a terminal. */
export class LiveBlock {
  readonly #stream: ProgressStream;
  readonly #now: () => number;
  #drawn = 0;
  #lastDrawMs = Number.NEGATIVE_INFINITY;

  constructor(stream: ProgressStream = process.stderr, now: () => number = () => performance.now()) {
    this.#stream = stream;
    this.#now = now;
  }

  /** Width of the terminal, in columns. */
  get columns(): number {
    return this.#stream.columns ?? 80;
  }

  /** Draws the lines of `render` in place of the last ones, at most ten times a second; lines must fit `columns`. */
  draw(render: () => readonly string[]): void {
    const nowMs = this.#now();
    if (nowMs - this.#lastDrawMs < TERMINAL_INTERVAL_MS) return;
    this.#lastDrawMs = nowMs;
    const lines = render();
    this.#stream.write(`${this.#erase()}${lines.join("\n")}\n`);
    this.#drawn = lines.length;
  }

  /** Takes the lines away; the next ones are drawn at once. */
  clear(): void {
    if (this.#drawn > 0) this.#stream.write(this.#erase());
    this.#drawn = 0;
    this.#lastDrawMs = Number.NEGATIVE_INFINITY;
  }

  #erase(): string {
    return this.#drawn > 0 ? `\r\x1b[${this.#drawn}A\x1b[J` : "";
  }
}
