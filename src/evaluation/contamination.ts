// Overlap between a run's questions and a benchmark's: a Challenger that poses what its base model remembers of a benchmark trains its
// Solver on the test. Texts are compared by word 8-grams; where one of the two is too short for that, by 13-character grams of the text
// without spaces, and below that as whole texts. Knows texts only.
// Sources: n-gram overlap as in GPT-3's appendix C (arXiv 2005.14165; 8 to 13 words) and PaLM's section 8 (8-grams, share of overlap).

/** A question and where it comes from. */
export interface TracedQuestion {
  readonly text: string;
  /** For reports: an id or number, and the iteration of a run's question. */
  readonly id: string;
}

/** One pair that overlaps. */
export interface OverlapPair {
  readonly question: TracedQuestion;
  readonly benchmark: TracedQuestion;
  /** Distinct grams that both have, over those of the one that has fewer; in (0, 1]. */
  readonly share: number;
  /** What was compared. */
  readonly grams: "words" | "characters";
}

/** How much of a run overlaps a benchmark. Counts are of the run's distinct questions. */
export interface Contamination {
  readonly questions: number;
  readonly benchmarkQuestions: number;
  /** Questions that share at least one gram; at least half of the grams; the whole text after normalising. */
  readonly overlapping: number;
  readonly half: number;
  readonly identical: number;
  /** Benchmark questions that some question of the run overlaps by half or more. */
  readonly benchmarkHalf: number;
  /** Largest shares first; per question its worst pair. */
  readonly worst: readonly OverlapPair[];
}

/** How to compare. */
export interface ContaminationOptions {
  /** Words of a gram; default 8. */
  readonly words?: number;
  /** Characters of a gram for short texts; default 13. */
  readonly characters?: number;
  /** Pairs in `worst`; default 10. */
  readonly worst?: number;
}

/** Words as they are compared: compatibility forms, lower case, letters and digits only. */
export function wordsOf(text: string): string[] {
  return (
    text
      .normalize("NFKC")
      .toLowerCase()
      .match(/[\p{L}\p{N}]+/gu) ?? []
  );
}

/** The text as its characters are compared: without spaces and $, everything else kept, so that 3+4 and 3−4 differ. */
export function charactersOf(text: string): string {
  return text
    .normalize("NFKC")
    .toLowerCase()
    .replace(/[\s$]+/g, "");
}

/** Compares every question of a run with every one of a benchmark. */
export function contamination(
  questions: readonly TracedQuestion[],
  benchmark: readonly TracedQuestion[],
  { words = 8, characters = 13, worst = 10 }: ContaminationOptions = {},
): Contamination {
  const distinct = [...new Map(questions.map((question) => [charactersOf(question.text), question])).values()];
  const run = distinct.map((question) => shapeOf(question, words, characters));
  const bench = benchmark.map((question) => shapeOf(question, words, characters));
  const best = new Map<number, OverlapPair & { readonly benchIndex: number }>();
  const offer = (runIndex: number, benchIndex: number, share: number, grams: OverlapPair["grams"]) => {
    const before = best.get(runIndex);
    if (before && before.share >= share) return;
    best.set(runIndex, { question: distinct[runIndex], benchmark: benchmark[benchIndex], share, grams, benchIndex });
  };
  const coveredHalf = new Set<number>();
  const found = (runIndex: number, benchIndex: number, share: number, grams: OverlapPair["grams"]) => {
    if (share >= 0.5) coveredHalf.add(benchIndex);
    offer(runIndex, benchIndex, share, grams);
  };
  compare(run, bench, "words", (shape) => !shape.short, found);
  compareShort(run, bench, found);
  const pairs = [...best.values()].sort((a, b) => b.share - a.share);
  const texts = new Set(benchmark.map(({ text }) => charactersOf(text)));
  return {
    questions: distinct.length,
    benchmarkQuestions: benchmark.length,
    overlapping: pairs.length,
    half: pairs.filter(({ share }) => share >= 0.5).length,
    identical: distinct.filter(({ text }) => texts.has(charactersOf(text))).length,
    benchmarkHalf: coveredHalf.size,
    worst: pairs.slice(0, worst).map(({ benchIndex: _, ...pair }) => pair),
  };
}

/** A text with ways to list its grams; grams are made when needed, because those of long texts are many. */
interface Shape {
  readonly short: boolean;
  readonly grams: (kind: OverlapPair["grams"]) => Set<string>;
}

function shapeOf({ text }: TracedQuestion, words: number, characters: number): Shape {
  const parts = wordsOf(text);
  return {
    short: parts.length < words,
    grams: (kind) => (kind === "words" ? slide(parts, words, " ") : slide([...charactersOf(text)], characters, "")),
  };
}

/** Distinct runs of n parts; the whole when there are fewer. */
function slide(parts: readonly string[], n: number, between: string): Set<string> {
  const grams = new Set<string>();
  if (parts.length > 0 && parts.length <= n) grams.add(parts.join(between));
  for (let at = 0; at + n <= parts.length; at++) grams.add(parts.slice(at, at + n).join(between));
  return grams;
}

type Found = (runIndex: number, benchIndex: number, share: number, grams: OverlapPair["grams"]) => void;

/** Compares the shapes of both sides that `use` admits; the run's grams are indexed, the benchmark's walked. */
function compare(
  run: readonly Shape[],
  bench: readonly Shape[],
  kind: OverlapPair["grams"],
  use: (shape: Shape) => boolean,
  on: Found,
) {
  const index = indexOf(run, kind, use);
  bench.forEach((shape, benchIndex) => {
    if (use(shape)) walk(shape, index, kind, (runIndex, share) => on(runIndex, benchIndex, share, kind));
  });
}

/** Pairs with a short text in them: only the short ones are indexed, so that memory stays small. */
function compareShort(run: readonly Shape[], bench: readonly Shape[], on: Found): void {
  const shortRun = indexOf(run, "characters", ({ short }) => short);
  if (shortRun.sizes.size > 0)
    bench.forEach((shape, benchIndex) => {
      walk(shape, shortRun, "characters", (runIndex, share) => on(runIndex, benchIndex, share, "characters"));
    });
  const shortBench = indexOf(bench, "characters", ({ short }) => short);
  if (shortBench.sizes.size > 0)
    run.forEach((shape, runIndex) => {
      if (!shape.short)
        walk(shape, shortBench, "characters", (benchIndex, share) => on(runIndex, benchIndex, share, "characters"));
    });
}

interface GramIndex {
  readonly holders: ReadonlyMap<string, readonly number[]>;
  /** Distinct grams of each indexed text. */
  readonly sizes: ReadonlyMap<number, number>;
}

function indexOf(shapes: readonly Shape[], kind: OverlapPair["grams"], use: (shape: Shape) => boolean): GramIndex {
  const holders = new Map<string, number[]>();
  const sizes = new Map<number, number>();
  shapes.forEach((shape, index) => {
    if (!use(shape)) return;
    const grams = shape.grams(kind);
    sizes.set(index, grams.size);
    for (const gram of grams) {
      const list = holders.get(gram);
      if (list) list.push(index);
      else holders.set(gram, [index]);
    }
  });
  return { holders, sizes };
}

/** Shares of one text with every indexed text that has a gram of it. */
function walk(
  shape: Shape,
  { holders, sizes }: GramIndex,
  kind: OverlapPair["grams"],
  on: (index: number, share: number) => void,
) {
  const grams = shape.grams(kind);
  const common = new Map<number, number>();
  for (const gram of grams) for (const index of holders.get(gram) ?? []) common.set(index, (common.get(index) ?? 0) + 1);
  for (const [index, count] of common) on(index, count / Math.min(grams.size, sizes.get(index) ?? 1));
}
