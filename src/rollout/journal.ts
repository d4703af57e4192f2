// The journal of one sampling call: every finished chunk of completions is a few lines, each with its checksum, so that a killed run
// samples only what is missing. A torn or damaged line and what follows it is left out. Its first line is the fingerprint of the
// prompts and parameters; a journal of another call is dropped. Knows no phase.

import { createHash } from "node:crypto";
import { closeSync, existsSync, openSync, readSync, rmSync } from "node:fs";
import type { Completion, Prompt, SamplingParams } from "../engine/types.ts";
import { appendLine, sha256 } from "../util/files.ts";

/** Completions first … first + completions.length − 1 of a prompt. */
export interface JournalRow {
  /** Index of the prompt in the call. */
  readonly prompt: number;
  readonly first: number;
  readonly completions: readonly Completion[];
}

/** `tokens`: completions as they are. `text`: text and stop reason alone, for calls that read nothing else; tokens are empty then. */
export type JournalContent = "tokens" | "text";

/** A completion in JSON: text, stop reason, then tokens and logprobs as base64 of their little-endian bytes. */
type WireCompletion = readonly [text: string, stopReason: Completion["stopReason"], tokens?: string, logprobs?: string];

const SUM_LENGTH = 16;
const PIECE_BYTES = 1 << 20;
/** Longest line that is read. A row is at most one prompt's part of a chunk, which chunks.ts bounds. */
const MAX_LINE_BYTES = 1 << 28;

/** What names a call: a change of any of it draws other completions. `policy` says which weights are asked. */
export function callFingerprint(
  prompts: readonly Prompt[],
  params: SamplingParams,
  { content, policy }: { readonly content: JournalContent; readonly policy?: string },
): string {
  const hash = createHash("sha256").update(JSON.stringify({ params, content, policy, prompts: prompts.length }));
  for (const { tokens } of prompts) hash.update(`${tokens.length}:`).update(Buffer.from(Int32Array.from(tokens).buffer));
  return hash.digest("hex");
}

/** A journal on the disk; nothing is written before the first `append`. */
export class RolloutJournal {
  readonly #file: string;
  readonly #header: string;
  readonly #content: JournalContent;
  #started = false;

  constructor(file: string, fingerprint: string, content: JournalContent) {
    this.#file = file;
    this.#header = summed(JSON.stringify({ format: 1, fingerprint }));
    this.#content = content;
  }

  /** Hands over every intact row that is there; a journal of another call is removed. */
  read(take: (row: JournalRow) => void): void {
    if (!existsSync(this.#file)) return;
    let number = 0;
    forEachIntactLine(this.#file, (line) => {
      if (number++ === 0) this.#started = line === this.#header;
      else if (this.#started) {
        const row = parseRow(line.slice(SUM_LENGTH + 1));
        if (row === undefined) return false;
        take(row);
      }
      return this.#started;
    });
    if (!this.#started) rmSync(this.#file);
  }

  /** Adds rows; `sync`: they are on the disk when this returns. Nothing is left of a failed call. Errors: DiskError. */
  append(rows: readonly JournalRow[], sync: boolean): void {
    const lines = rows.map((row) => summed(JSON.stringify(toWire(row, this.#content))));
    appendLine(this.#file, (this.#started ? lines : [this.#header, ...lines]).join("\n"), { sync });
    this.#started = true;
  }
}

/** Checks a journal's lines: how many are intact, and whether anything else is in the file. */
export function verifyJournal(file: string): { readonly intact: number; readonly damaged: boolean } {
  let intact = 0;
  const whole = forEachIntactLine(file, () => {
    intact++;
    return true;
  });
  return { intact, damaged: !whole };
}

/** A completion as its journal gives it back. */
export function asJournalled(completion: Completion, content: JournalContent): Completion {
  if (content === "tokens") return completion;
  return { ...completion, tokens: new Int32Array(0), logprobs: new Float32Array(0) };
}

function summed(json: string): string {
  return `${sha256(json).slice(0, SUM_LENGTH)} ${json}`;
}

function toWire({ prompt, first, completions }: JournalRow, content: JournalContent) {
  const completionToWire = ({ text, stopReason, tokens, logprobs }: Completion): WireCompletion =>
    content === "text" ? [text, stopReason] : [text, stopReason, toBase64(tokens), toBase64(logprobs)];
  return { prompt, first, completions: completions.map(completionToWire) };
}

/** The row of a line; undefined when it is none that `toWire` makes, whatever its checksum says. */
function parseRow(json: string): JournalRow | undefined {
  let row: Partial<ReturnType<typeof toWire>> | null;
  try {
    row = JSON.parse(json) as typeof row;
  } catch {
    return undefined;
  }
  const { prompt, first, completions } = row ?? {};
  if (!isCount(prompt) || !isCount(first) || !Array.isArray(completions) || !completions.every(isCompletion)) return undefined;
  return {
    prompt,
    first,
    completions: completions.map(([text, stopReason, tokens = "", logprobs = ""]) => ({
      text,
      stopReason,
      tokens: new Int32Array(fromBase64(tokens)),
      logprobs: new Float32Array(fromBase64(logprobs)),
    })),
  };
}

function isCount(value: unknown): value is number {
  return Number.isSafeInteger(value) && (value as number) >= 0;
}

function isCompletion(value: unknown): value is WireCompletion {
  if (!Array.isArray(value) || typeof value[0] !== "string" || !["stop", "length"].includes(value[1])) return false;
  const [tokens = "", logprobs = ""] = value.slice(2) as unknown[];
  if (typeof tokens !== "string" || typeof logprobs !== "string") return false;
  const bytes = Buffer.byteLength(tokens, "base64");
  return bytes % 4 === 0 && bytes === Buffer.byteLength(logprobs, "base64");
}

function toBase64(array: Int32Array | Float32Array): string {
  return Buffer.from(array.buffer, array.byteOffset, array.byteLength).toString("base64");
}

function fromBase64(text: string): ArrayBuffer {
  return new Uint8Array(Buffer.from(text, "base64")).buffer;
}

/** Visits lines whose checksum is right until one is not or `visit` says so; true when that was the whole file. */
function forEachIntactLine(file: string, visit: (line: string) => boolean): boolean {
  const descriptor = openSync(file, "r");
  try {
    const piece = Buffer.alloc(PIECE_BYTES);
    let rest = Buffer.alloc(0);
    for (let got = readSync(descriptor, piece); got > 0; got = readSync(descriptor, piece)) {
      rest = Buffer.concat([rest, piece.subarray(0, got)]);
      let begin = 0;
      for (let end = rest.indexOf(0x0a); end >= 0; end = rest.indexOf(0x0a, begin)) {
        const line = rest.toString("utf8", begin, end);
        begin = end + 1;
        if (line !== summed(line.slice(SUM_LENGTH + 1)) || !visit(line)) return false;
      }
      rest = rest.subarray(begin);
      if (rest.length > MAX_LINE_BYTES) return false;
    }
    return rest.length === 0;
  } finally {
    closeSync(descriptor);
  }
}
