// Labels by a verifier in place of the majority: of the classes of equal answers the largest that it calls right is the label, and p̂ is that
// class's share. Where it calls none right there is no label. Each verdict is in the phase's journal before it is used, so a resumed run
// sees the same ones even if the verifier would now say something else.

import { existsSync, readFileSync } from "node:fs";
import type { AnswerClass, Vote } from "../answer/vote.ts";
import { splitChecker } from "../prompts/checker.ts";
import { journalFile } from "../store/journals.ts";
import { appendLine, sha256, writeFileAtomic } from "../util/files.ts";
import { checkInterrupted, type LoopContext } from "./context.ts";
import type { SamplingCall } from "./journalled.ts";
import type { AnsweredQuestion } from "./questions.ts";
import { withRoom } from "./room.ts";
import { VerifierPool } from "./verifier-pool.ts";

/** Opens the verifier of a configuration; undefined where the majority judges. */
export function openVerifier({ domain }: LoopContext["config"]): VerifierPool | undefined {
  const { verifier } = domain;
  switch (verifier.kind) {
    case "vote":
      return undefined;
    case "module": {
      const { path, timeoutMs: deadlineMs, memoryMb } = verifier;
      return new VerifierPool({ data: { kind: "module", path }, deadlineMs, memoryMb });
    }
    case "program": {
      const { timeoutMs, memoryMb } = verifier;
      // The sandbox ends what it can itself; the process's end is for what it cannot.
      return new VerifierPool({ data: { kind: "program", timeoutMs }, deadlineMs: 4 * timeoutMs + 1000, memoryMb });
    }
  }
}

/** Questions between two writes to the journal. */
const CHUNK = 16;

/** Replaces votes by the verifier's word; without a verifier they stay. Errors: ConfigError, InterruptedError, RunError (disk). */
export async function verifyVotes(
  context: LoopContext,
  answered: ReadonlyMap<string, AnsweredQuestion>,
  call: Pick<SamplingCall, "iteration" | "phase" | "step">,
): Promise<Map<string, AnsweredQuestion>> {
  const { verifier, store } = context;
  if (verifier === undefined) return new Map(answered);
  const { journal: dir } = store.phase(call.iteration, call.phase);
  const journal = new VerdictJournal(journalFile(dir, call.step, "verifying"));
  const verified = new Map<string, AnsweredQuestion>();
  let done = 0;
  for (const [question, answers] of answered) {
    const right = await firstRight(context, journal, question, answers.vote);
    verified.set(question, { ...answers, vote: labelledBy(answers.vote, right) });
    if (++done % CHUNK !== 0 && done < answered.size) continue;
    await withRoom(context, { what: "verdicts", dir, bytes: 1 << 16 }, () => journal.flush());
    checkInterrupted(context);
    context.progress({ event: "progress", ...call, activity: "verifying", done, total: answered.size, tokens: 0 });
  }
  return verified;
}

/** The largest class that is right; classes of equal size in the order seen. */
async function firstRight(
  { verifier, config }: LoopContext,
  journal: VerdictJournal,
  question: string,
  { classes }: Vote,
): Promise<AnswerClass | undefined> {
  const { text, program: carried } = splitChecker(question);
  const given = config.domain.verifier;
  const program = given.kind === "program" ? (given.source ?? carried) : undefined;
  if (given.kind === "program" && program === undefined) return undefined;
  const bySize = [...classes].sort((a, b) => b.members.length - a.members.length);
  for (const one of bySize) {
    const task = { question: text, answer: one.answer, program };
    const key = sha256(JSON.stringify(task));
    let verdict = journal.get(key);
    if (verdict === undefined) {
      verdict = (await verifier?.verify(task)) ?? null;
      journal.add(key, verdict);
    }
    if (verdict === true) return one;
  }
  return undefined;
}

function labelledBy(vote: Vote, right: AnswerClass | undefined): Vote {
  const count = right?.members.length ?? 0;
  return { ...vote, majority: right?.answer, count, share: vote.m === 0 ? 0 : count / vote.m };
}

/** Verdicts by the hash of what was asked; null is "none given". Lines carry checksums; what follows a damaged one is asked again. */
class VerdictJournal {
  readonly #file: string;
  readonly #known = new Map<string, boolean | null>();
  #waiting: string[] = [];

  constructor(file: string) {
    this.#file = file;
    if (!existsSync(file)) return;
    const text = readFileSync(file, "utf8");
    const lines = text.split("\n");
    const bad = lines.findIndex((line) => line !== checked(line.slice(SUM + 1)));
    const intact = lines.slice(0, bad < 0 ? lines.length : bad);
    for (const line of intact) {
      const [key, verdict] = JSON.parse(line.slice(SUM + 1)) as [string, boolean | null];
      this.#known.set(key, verdict);
    }
    const whole = intact.map((line) => `${line}\n`).join("");
    if (whole !== text) writeFileAtomic(file, whole);
  }

  get(key: string): boolean | null | undefined {
    return this.#known.get(key);
  }

  add(key: string, verdict: boolean | null): void {
    this.#known.set(key, verdict);
    this.#waiting.push(checked(JSON.stringify([key, verdict])));
  }

  /** Errors: DiskError. */
  flush(): void {
    if (this.#waiting.length > 0) appendLine(this.#file, this.#waiting.join("\n"), { sync: true });
    this.#waiting = [];
  }
}

const SUM = 16;

function checked(json: string): string {
  return `${sha256(json).slice(0, SUM)} ${json}`;
}
