// The rows of a filtered table as far as they are needed: windows of a fixed size, read when rows of them come into view, the least
// recently seen dropped. While the server counts, or its index is being built, it is asked again.

import { useEffect, useRef, useState } from "preact/hooks";
import type { IndexState } from "../api.ts";
import { type QuestionPage, type QuestionQuery, type QuestionRow, questionSearch } from "../api-questions.ts";
import { isPassing, read } from "./client.ts";

const SIZE = 100;
const KEPT = 30;
/** The server may answer from before a change of its index for some seconds after it. */
const SETTLED_MS = 15_000;
const AGAIN_MS = 2000;
/** A bar that is dragged passes many windows; one is read when the list has stood for a moment. */
const REST_MS = 40;

type Timer = ReturnType<typeof setTimeout> | undefined;

export interface QuestionRows {
  /** Undefined while not counted; then `count` holds at least so many. */
  readonly total?: number;
  readonly count: number;
  readonly index?: IndexState;
  readonly error?: Error;
  /** True once the first window is there. */
  readonly ready: boolean;
  /** Undefined: not read yet. */
  readonly rowAt: (index: number) => QuestionRow | undefined;
  readonly onRange: (first: number, end: number) => void;
}

/** Reads windows of the questions that meet `query`; a new `version` reads those in view again. */
export function useQuestions(query: QuestionQuery, version: unknown): QuestionRows {
  return usePages(questionSearch(query), version);
}

/** What is known of one table. */
interface Held {
  readonly key: string;
  readonly windows: Map<number, readonly QuestionRow[]>;
  readonly asked: Set<number>;
  /** When the index was last seen to change. */
  moved: number;
  total?: number;
  count: number;
  index?: IndexState;
  error?: Error;
}

function usePages(key: string, version: unknown): QuestionRows {
  const [, setTold] = useState(0);
  const held = useRef<Held>(newHeld(key));
  const abort = useRef(new AbortController());
  const range = useRef<[number, number]>([0, SIZE]);
  const rest = useRef<Timer>(undefined);
  const again = useRef<Timer>(undefined);
  if (held.current.key !== key) {
    abort.current.abort();
    abort.current = new AbortController();
    held.current = newHeld(key);
    range.current = [0, SIZE];
  }

  const ask = (window: number) => {
    const mine = held.current;
    if (mine.asked.has(window)) return;
    mine.asked.add(window);
    // Of what is held: a timer of an earlier table may have called.
    const path = `${mine.key}&offset=${window * SIZE}&limit=${SIZE}`;
    read<QuestionPage>(path, abort.current.signal).then(
      (page) => {
        mine.asked.delete(window);
        if (mine.index?.revision !== page.index.revision) mine.moved = Date.now();
        keep(mine, window, page);
        if (held.current !== mine) return;
        const settling = Date.now() - mine.moved < SETTLED_MS;
        askMissing();
        if (settling || page.total === undefined || page.index.state === "building") askAgain();
        setTold((told) => told + 1);
      },
      (error: Error) => {
        mine.asked.delete(window);
        if (held.current !== mine || error.name === "AbortError") return;
        mine.error = error;
        if (isPassing(error)) askAgain();
        setTold((told) => told + 1);
      },
    );
  };
  const inView = () => {
    const [first, end] = range.current;
    const windows = [];
    for (let window = Math.floor(first / SIZE); window * SIZE < end; window++) windows.push(window);
    return windows;
  };
  const askMissing = () => {
    for (const window of inView()) if (!held.current.windows.has(window)) ask(window);
  };
  const askAgain = () => {
    clearTimeout(again.current);
    again.current = setTimeout(() => inView().forEach(ask), AGAIN_MS);
  };
  useEffect(() => {
    inView().forEach(ask);
    // The index follows the files a moment later.
    askAgain();
    return () => {
      clearTimeout(again.current);
      clearTimeout(rest.current);
    };
  }, [key, version]);
  useEffect(() => () => abort.current.abort(), []);

  const { total, count, index, error, windows } = held.current;
  return {
    total,
    count,
    index,
    error,
    ready: windows.size > 0,
    rowAt: (at) => windows.get(Math.floor(at / SIZE))?.[at % SIZE],
    onRange: (first, end) => {
      range.current = [first, end];
      clearTimeout(rest.current);
      rest.current = setTimeout(askMissing, REST_MS);
    },
  };
}

function newHeld(key: string): Held {
  return { key, windows: new Map(), asked: new Set(), count: 0, moved: 0 };
}

function keep(held: Held, window: number, { rows, total, offset, index }: QuestionPage): void {
  // Rows have moved, or a window has more of them than when it was read.
  if (total !== held.total) held.windows.clear();
  held.windows.delete(window);
  held.windows.set(window, rows);
  const [oldest] = held.windows.keys();
  if (held.windows.size > KEPT) held.windows.delete(oldest);
  held.total = total ?? held.total;
  // Not counted yet: at least what is here, and one more window when this one is full.
  held.count = total ?? Math.max(held.count, offset + rows.length + (rows.length === SIZE ? SIZE : 0));
  held.index = index;
  held.error = undefined;
}
