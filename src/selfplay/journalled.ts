// Sampling inside a phase: in chunks, each in the phase's journal when it is made, so that no completion is ever made twice.

import type { Completion, Prompt, Sampler, SamplingParams } from "../engine/types.ts";
import { sampleInChunks } from "../rollout/chunks.ts";
import type { JournalContent } from "../rollout/journal.ts";
import { journalFile } from "../store/journals.ts";
import type { Phase } from "../store/layout.ts";
import { checkInterrupted, type LoopContext, reporter } from "./context.ts";
import { withRoom } from "./room.ts";

/** Which call of a phase it is. */
export interface SamplingCall {
  readonly iteration: number;
  readonly phase: Phase;
  /** Rollout step from 1; absent where a phase has none. */
  readonly step?: number;
  /** What is done, for people and for the journal's name: letters and digits. */
  readonly activity: string;
  readonly content: JournalContent;
  /** Updates behind the sampler in this phase: with one skipped, a step's completions are others. */
  readonly updates?: number;
  /** Called when completions are missing that only an earlier state of the sampler could give. */
  readonly refuse?: () => never;
  /** Told of each prompt once, while others are still being sampled. */
  readonly graded?: (prompt: number, completions: readonly Completion[]) => void;
}

/** Samples with the phase's journal. Errors: those of the Sampler; InterruptedError between chunks; RunError (disk). */
export function sampleJournalled(
  context: LoopContext,
  sampler: Sampler,
  prompts: readonly Prompt[],
  params: SamplingParams,
  { iteration, phase, step, activity, content, updates, refuse, graded }: SamplingCall,
): Promise<Completion[][]> {
  const { journal: dir } = context.store.phase(iteration, phase);
  return sampleInChunks(sampler, prompts, params, {
    file: journalFile(dir, step, activity),
    content,
    policy: updates === undefined ? undefined : `${updates} updates`,
    refuse,
    graded,
    check: () => checkInterrupted(context),
    write: (bytes, work) => withRoom(context, { what: `completions (${phase} phase)`, dir, bytes }, work),
    on: reporter(context, iteration, phase, activity),
  });
}
