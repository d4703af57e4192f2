// The thread that asks the index, so that no search holds up the server. One question after the other; an answer that takes work for the
// next one is sent before that work is done. Ends when its owner does.

import { parentPort, workerData } from "node:worker_threads";
import { errorText } from "../../util/errors.ts";
import { isDamage, openDatabase } from "../index/sqlite.ts";
import { type IndexQuestion, IndexReader } from "./answer.ts";

/** A question with the number that its answer bears. */
export interface AskedQuestion {
  readonly number: number;
  readonly question: IndexQuestion;
}

/** An answer or a problem. */
export type ReadAnswer =
  | { readonly number: number; readonly answer: unknown }
  | { readonly number: number; readonly problem: string; readonly damaged: boolean };

/** Work for a next window is done when nobody asks anything; that window can do without, a little slower. */
const IDLE_MS = 100;
let later: NodeJS.Timeout | undefined;

const database = openDatabase(workerData as string);
const reader = new IndexReader(database);

parentPort?.on("message", ({ number, question }: AskedQuestion) => {
  const say = (message: ReadAnswer) => parentPort?.postMessage(message);
  try {
    const { answer, after } = reader.answer(question);
    say({ number, answer });
    clearTimeout(later);
    if (after) later = setTimeout(() => quietly(after), IDLE_MS);
  } catch (error) {
    say({ number, problem: errorText(error), damaged: isDamage(error) });
  }
});

/** What fails here fails again, and is told, when the next window is asked for. */
function quietly(work: () => void): void {
  try {
    work();
  } catch {}
}
