// The file that stands for a training state on a Tinker server: state.json, which names the server's own. Knows files and no server.

import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { z } from "zod";
import { CheckpointError } from "../../../util/errors.ts";
import { overwriteFile, readText, sha256, writeFileAtomic } from "../../../util/files.ts";
import type { LoraConfig } from "./model.ts";

/** A state on a server. */
export interface SavedState {
  /** Address of the server. */
  readonly server: string;
  /** The server's name of the base model. */
  readonly model: string;
  /** tinker:// path of the saved weights and moments. */
  readonly path: string;
  readonly lora: LoraConfig;
}

const STATE_FILE = "state.json";
const MAX_BYTES = 1 << 16;

const schema = z.strictObject({
  server: z.string(),
  model: z.string(),
  path: z.string().startsWith("tinker://"),
  lora: z.strictObject({ rank: z.int(), attention: z.boolean(), mlp: z.boolean(), unembed: z.boolean() }),
});
const file = z.strictObject({ format: z.literal("tinker-1"), sha256: z.string(), state: z.string() });

/** Writes a state. Errors: DiskError. */
export function writeSavedState(dir: string, state: SavedState, scratch: boolean): void {
  const json = JSON.stringify(schema.parse(state));
  const text = `${JSON.stringify({ format: "tinker-1", sha256: sha256(json), state: json })}\n`;
  mkdirSync(dir, { recursive: true });
  if (scratch) overwriteFile(join(dir, STATE_FILE), [Buffer.from(text)]);
  else writeFileAtomic(join(dir, STATE_FILE), text);
}

/** Reads a state of models of this shape. Errors: CheckpointError (missing, damaged, of another engine or shape). */
export function readSavedState(dir: string, lora: LoraConfig): SavedState {
  const path = join(dir, STATE_FILE);
  const state = parseState(path);
  const shape = ({ rank, attention, mlp, unembed }: LoraConfig) => [rank, attention, mlp, unembed].join();
  if (shape(state.lora) === shape(lora)) return state;
  throw new CheckpointError(`${path}: expected the state of an adapter as in engine.lora, got one of rank ${state.lora.rank}.`);
}

/** The server's path that a state file names; undefined when it is none of ours. */
export function savedPath(text: string): string | undefined {
  try {
    return schema.parse(JSON.parse(file.parse(JSON.parse(text)).state)).path;
  } catch {
    return undefined;
  }
}

function parseState(path: string): SavedState {
  try {
    const { sha256: sum, state } = file.parse(JSON.parse(readText(path, MAX_BYTES)));
    if (sha256(state) !== sum) throw new Error("another SHA-256 than its own");
    return schema.parse(JSON.parse(state));
  } catch (error) {
    const got = error instanceof Error ? error.message.split("\n")[0].slice(0, 200) : String(error);
    throw new CheckpointError(`${path}: expected a state on a Tinker server, got ${got}. Start from an earlier one.`);
  }
}
