// Sampling in chunks with a journal. A completion depends on (seed, prompt, sample index) alone, so chunks of any size, in any number of
// processes, give what one call would give. A chunk is sized by time: much work is lost with a large one, the engine's slots run dry at
// the end of each small one. Knows no phase.

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
  const { file, content } = options;
  const journal = new RolloutJournal(file, callFingerprint(prompts, params, options), content);
  const found: (Completion | undefined)[][] = prompts.map(() => new Array(params.n).fill(undefined));
  let done = 0;
  let tokens = 0;
  const keep = (row: JournalRow) => {
    row.completions.forEach((completion, index) => {
      const group = found[row.prompt];
      if (group === undefined || row.first + index >= params.n || group[row.first + index] !== undefined) return;
      group[row.first + index] = asJournalled(completion, content);
      done++;
      tokens += completion.tokens.length;
    });
  };
  journal.read(keep);
  let limit = firstLimit(params.maxTokens);
  const total = prompts.length * params.n;
  for (let chunk = nextChunk(found, limit); chunk !== undefined; chunk = nextChunk(found, limit)) {
    options.refuse?.();
    options.check();
    const started = performance.now();
    const before = { done, tokens };
    const completions = await sampler.sample(
      chunk.prompts.map((prompt) => prompts[prompt]),
      { ...params, n: chunk.n, firstSample: (params.firstSample ?? 0) + chunk.first },
      (now, _, drawn) => options.on?.(before.done + now, total, before.tokens + drawn),
    );
    const seconds = (performance.now() - started) / 1000;
    const { first } = chunk;
    const rows = chunk.prompts.map((prompt, index) => ({ prompt, first, completions: completions[index] }));
    rows.forEach(keep);
    const bytes = (tokens - before.tokens) * BYTES_PER_TOKEN;
    await options.write(bytes, () => journal.append(rows, seconds >= SYNC_SECONDS));
    limit = nextLimit(chunk.prompts.length * chunk.n, seconds, params.maxTokens);
  }
  return found as Completion[][];
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
