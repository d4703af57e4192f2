// Keeps a training step's rollouts for people who look at the run (config `archive.rollouts`): one file per step, written before the
// update, so that a step that is done again writes the same bytes again. Knows no reward.

import { type ArchivedGroup, RolloutArchive } from "../rollout/archive.ts";
import { rolloutFile } from "../store/layout.ts";
import { makeDirectory, overwriteFile } from "../util/files.ts";
import type { LoopContext } from "./context.ts";
import { withRoom } from "./room.ts";

/** Which step, of how many. */
export interface ArchivePlace {
  readonly iteration: number;
  readonly role: "challenger" | "solver";
  readonly step: number;
  readonly steps: number;
}

const archives = new WeakMap<object, RolloutArchive>();

/** Writes a step's groups, or as many as have room in the step's part of the phase's bytes. Errors: RunError (disk), InterruptedError. */
export async function archiveStep(context: LoopContext, place: ArchivePlace, groups: readonly ArchivedGroup[]): Promise<void> {
  const { rollouts, maxRolloutBytes } = context.config.archive;
  if (rollouts === "none") return;
  const { iteration, role, step, steps } = place;
  const bytes = rollouts === "all" ? Number.POSITIVE_INFINITY : Math.floor(maxRolloutBytes / steps);
  const choice = { bytes, seed: context.config.seed, place: [role, iteration, step] };
  const content = Buffer.from(archiveOf(context).lines(groups, choice));
  const { rollouts: dir } = context.store.phase(iteration, role);
  await withRoom(context, { what: "rollouts", dir, bytes: content.length }, () => {
    makeDirectory(dir);
    overwriteFile(rolloutFile(dir, step), [content]);
  });
}

function archiveOf({ tokenizer }: LoopContext): RolloutArchive {
  const archive = archives.get(tokenizer) ?? new RolloutArchive((tokens) => tokenizer.decode(tokens));
  archives.set(tokenizer, archive);
  return archive;
}
