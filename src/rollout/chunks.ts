// Sampling in chunks with a journal. A completion depends on (seed, prompt, sample index) alone, so chunks of any size, in any number of
// processes, give what one call would give. A chunk is sized by time: much work is lost with a large one, the engine's slots run dry at
// the end of each small one. While a chunk is written and graded the next one is being sampled, and a sampler that says so gets several at
// once; in whichever order they end, each is in the journal as soon as it is there. Knows no phase.

import { setImmediate } from "node:timers/promises";
import type { Completion, Progress, Prompt, Sampler, SamplingParams } from "../engine/types.ts";
import { asJournalled, callFingerprint, type JournalContent, type JournalRow, RolloutJournal } from "./journal.ts";

/** How to sample in chunks. */
export interface ChunkOptions {
  /** The journal's file. */
  readonly file: string;
  readonly content: JournalContent;
  /** Which weights the sampler has, where the file's name does not say it. */
  readonly policy?: string;
  /** Called before each chunk; what it throws ends the call, and the chunks before stay. */
  readonly check: () => void;
  /** Carries out a write of about so many bytes; it may wait for room on the disk and do it again. */
  readonly write: (bytes: number, work: () => void) => Promise<void>;
  /** Called instead of sampling when completions are missing: for a sampler that is not the one they came from. */
  readonly refuse?: () => never;
  readonly on?: Progress;
  /** Told of each prompt once, when its completions are all there, while others are still being sampled. */
  readonly graded?: (prompt: number, completions: readonly Completion[]) => void;
}

/** Seconds of a chunk that are worth keeping, and of one that is worth an fsync. */
const TARGET_SECONDS = 30;
const SYNC_SECONDS = 2;
/** Bounds of a chunk in completions; the first is about so many tokens. */
const MIN_COMPLETIONS = 64;
const MAX_COMPLETIONS = 16384;
const FIRST_COMPLETIONS = 1024;
const FIRST_TOKENS = 1 << 17;
/** Largest memory of a chunk's lines: 16 bytes per token at most. */
const MAX_TOKENS = 1 << 23;
const BYTES_PER_TOKEN = 16;

/** Completions of some prompts: samples first … first + n − 1 of each. */
export interface Chunk {
  readonly prompts: readonly number[];
  readonly first: number;
  readonly n: number;
}

/** As `sampler.sample`, chunk by chunk, from the journal where it has them. Errors: those of the Sampler, `check` and `write`. */
export async function sampleInChunks(
  sampler: Sampler,
  prompts: readonly Prompt[],
  params: SamplingParams,
  options: ChunkOptions,
): Promise<Completion[][]> {
  const call = new ChunkedCall(sampler, prompts, params, options);
  return call.run();
}

/** A chunk under way, and how far it is. */
interface Flight {
  readonly chunk: Chunk;
  readonly started: number;
  done: number;
  tokens: number;
  /** Never rejects. */
  ended: Promise<Landed>;
}

interface Landed {
  readonly flight: Flight;
  readonly result: { readonly completions: readonly Completion[][] } | { readonly error: unknown };
}

/** Longest time that grading keeps the event loop, which samplers over a network need. */
const LONGEST_TURN_MS = 10;

/** See sampleInChunks. */
class ChunkedCall {
  readonly #sampler: Sampler;
  readonly #prompts: readonly Prompt[];
  readonly #params: SamplingParams;
  readonly #options: ChunkOptions;
  readonly #journal: RolloutJournal;
  readonly #found: (Completion | undefined)[][];
  /** What is there or under way. */
  readonly #claimed: (true | undefined)[][];
  readonly #graded: boolean[];
  readonly #flights = new Set<Flight>();
  #done = 0;
  #tokens = 0;
  #limit: number;

  constructor(sampler: Sampler, prompts: readonly Prompt[], params: SamplingParams, options: ChunkOptions) {
    this.#sampler = sampler;
    this.#prompts = prompts;
    this.#params = params;
    this.#options = options;
    this.#journal = new RolloutJournal(options.file, callFingerprint(prompts, params, options), options.content);
    this.#found = prompts.map(() => new Array(params.n).fill(undefined));
    this.#claimed = prompts.map(() => new Array(params.n).fill(undefined));
    this.#graded = prompts.map(() => false);
    this.#limit = firstLimit(params.maxTokens);
  }

  async run(): Promise<Completion[][]> {
    this.#journal.read((row) => this.#keep(row));
    let failure: { readonly error: unknown } | undefined;
    const attempt = async (work: () => void | Promise<void>) => {
      try {
        if (failure === undefined) await work();
      } catch (error) {
        failure ??= { error };
      }
    };
    await attempt(() => this.#launch());
    await attempt(() => this.#grade(this.#found.keys()));
    // After a failure nothing new begins, but what is under way is waited for and kept.
    while (this.#flights.size > 0) {
      const { flight, result } = await Promise.race([...this.#flights].map(({ ended }) => ended));
      this.#flights.delete(flight);
      if ("error" in result) {
        failure ??= result;
        continue;
      }
      const seconds = (performance.now() - flight.started) / 1000;
      this.#limit = nextLimit(flight.chunk.prompts.length * flight.chunk.n, seconds, this.#params.maxTokens);
      await attempt(() => this.#launch());
      try {
        await this.#land(flight, result.completions, seconds);
      } catch (error) {
        failure ??= { error };
      }
    }
    if (failure !== undefined) throw failure.error;
    return this.#found as Completion[][];
  }

  /** Begins chunks until enough are under way. */
  #launch(): void {
    const { overlap = 1 } = this.#sampler;
    while (this.#flights.size < overlap) {
      const chunk = nextChunk(this.#claimed, this.#limit);
      if (chunk === undefined) return;
      this.#options.refuse?.();
      this.#options.check();
      for (const prompt of chunk.prompts) this.#claimed[prompt].fill(true, chunk.first, chunk.first + chunk.n);
      this.#flights.add(this.#start(chunk));
    }
  }

  #start(chunk: Chunk): Flight {
    const flight: Flight = { chunk, started: performance.now(), done: 0, tokens: 0, ended: new Promise(() => {}) };
    const sampling = this.#sampler.sample(
      chunk.prompts.map((prompt) => this.#prompts[prompt]),
      { ...this.#params, n: chunk.n, firstSample: (this.#params.firstSample ?? 0) + chunk.first },
      (done, _, tokens) => {
        Object.assign(flight, { done, tokens });
        this.#report();
      },
    );
    flight.ended = sampling.then(
      (completions) => ({ flight, result: { completions } }),
      (error: unknown) => ({ flight, result: { error } }),
    );
    return flight;
  }

  #report(): void {
    const flights = [...this.#flights];
    const done = flights.reduce((sum, flight) => sum + flight.done, this.#done);
    const tokens = flights.reduce((sum, flight) => sum + flight.tokens, this.#tokens);
    this.#options.on?.(done, this.#prompts.length * this.#params.n, tokens);
  }

  /** Keeps, writes and grades a chunk, while the next is being sampled. */
  async #land({ chunk }: Flight, completions: readonly Completion[][], seconds: number): Promise<void> {
    const { first } = chunk;
    const before = this.#tokens;
    const rows = chunk.prompts.map((prompt, index) => ({ prompt, first, completions: completions[index] }));
    for (const row of rows) this.#keep(row);
    this.#report();
    const bytes = (this.#tokens - before) * BYTES_PER_TOKEN;
    await this.#options.write(bytes, () => this.#journal.append(rows, seconds >= SYNC_SECONDS));
    await this.#grade(chunk.prompts);
  }

  #keep({ prompt, first, completions }: JournalRow): void {
    const group = this.#found[prompt];
    if (group === undefined) return;
    completions.forEach((completion, index) => {
      const at = first + index;
      if (at >= group.length || group[at] !== undefined) return;
      group[at] = asJournalled(completion, this.#options.content);
      this.#claimed[prompt][at] = true;
      this.#done++;
      this.#tokens += completion.tokens.length;
    });
  }

  async #grade(prompts: Iterable<number>): Promise<void> {
    const { graded } = this.#options;
    if (graded === undefined) return;
    let last = performance.now();
    for (const prompt of prompts) {
      const group = this.#found[prompt];
      if (this.#graded[prompt] || group.includes(undefined)) continue;
      this.#graded[prompt] = true;
      graded(prompt, group as Completion[]);
      if (performance.now() - last < LONGEST_TURN_MS) continue;
      await setImmediate();
      last = performance.now();
    }
  }
}

function firstLimit(maxTokens: number): number {
  return Math.max(MIN_COMPLETIONS, Math.min(FIRST_COMPLETIONS, Math.floor(FIRST_TOKENS / maxTokens)));
}

/** Completions of the next chunk from how long the last one took; at most four times as many. */
function nextLimit(completions: number, seconds: number, maxTokens: number): number {
  const wanted = Math.floor(completions * Math.min(4, TARGET_SECONDS / Math.max(seconds, 1e-3)));
  const most = Math.min(MAX_COMPLETIONS, Math.floor(MAX_TOKENS / maxTokens));
  return Math.max(MIN_COMPLETIONS, Math.min(most, wanted));
}

/** The next missing completions, at most about `limit`: whole groups of several prompts, or a part of one prompt's. */
export function nextChunk(found: readonly (readonly unknown[])[], limit: number): Chunk | undefined {
  const prompt = found.findIndex((group) => group.includes(undefined));
  if (prompt < 0) return undefined;
  const n = found[prompt].length;
  const first = found[prompt].indexOf(undefined);
  const present = found[prompt].findIndex((completion, index) => index > first && completion !== undefined);
  const missing = (present < 0 ? n : present) - first;
  if (missing < n || n > limit) return { prompts: [prompt], first, n: Math.min(missing, limit) };
  const prompts: number[] = [];
  for (let index = prompt; index < found.length && (prompts.length + 1) * n <= limit; index++)
    if (found[index].every((completion) => completion === undefined)) prompts.push(index);
  return { prompts, first: 0, n };
}
