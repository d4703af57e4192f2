// The files that stand for a training state on a Tinker server: tinker.json, which names the server's own, and state.json, which names that
// file with its sum as every training state does. Knows files and no server.

import { mkdirSync } from "node:fs";
import { dirname, join } from "node:path";
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
/** Where the server's path stands. */
export const PATH_FILE = "tinker.json";
const MAX_BYTES = 1 << 16;

const schema = z.strictObject({
  server: z.string(),
  model: z.string(),
  path: z.string().startsWith("tinker://"),
  lora: z.strictObject({ rank: z.int(), attention: z.boolean(), mlp: z.boolean(), unembed: z.boolean() }),
});
const sums = z.strictObject({
  format: z.literal("tinker-1"),
  files: z.strictObject({ path: z.strictObject({ file: z.literal(PATH_FILE), bytes: z.int(), sha256: z.string() }) }),
});

/** Writes a state; as scratch its files are written over in place. Errors: DiskError. */
export function writeSavedState(dir: string, state: SavedState, scratch: boolean): void {
  const write = (name: string, value: unknown) => {
    const text = `${JSON.stringify(value)}\n`;
    return scratch ? overwriteFile(join(dir, name), [Buffer.from(text)]) : writeFileAtomic(join(dir, name), text);
  };
  mkdirSync(dir, { recursive: true });
  const { bytes, sha256 } = write(PATH_FILE, schema.parse(state));
  write(STATE_FILE, sums.parse({ format: "tinker-1", files: { path: { file: PATH_FILE, bytes, sha256 } } }));
}

/** Reads a state of models of this shape. Errors: CheckpointError (missing, damaged, of another engine or shape). */
export function readSavedState(dir: string, lora: LoraConfig): SavedState {
  const path = join(dir, STATE_FILE);
  const state = parseState(path);
  const shape = ({ rank, attention, mlp, unembed }: LoraConfig) => [rank, attention, mlp, unembed].join();
  if (shape(state.lora) === shape(lora)) return state;
  throw new CheckpointError(`${path}: expected the state of an adapter as in engine.lora, got one of rank ${state.lora.rank}.`);
}

/** The server's path in the text of a PATH_FILE; undefined when it is none of ours. */
export function savedPath(text: string): string | undefined {
  try {
    return schema.parse(JSON.parse(text)).path;
  } catch {
    return undefined;
  }
}

function parseState(file: string): SavedState {
  try {
    const { path } = sums.parse(JSON.parse(readText(file, MAX_BYTES))).files;
    const text = readText(join(dirname(file), path.file), MAX_BYTES);
    if (sha256(text) !== path.sha256) throw new Error(`a ${path.file} with another SHA-256`);
    return schema.parse(JSON.parse(text));
  } catch (error) {
    const got = error instanceof Error ? error.message.split("\n")[0].slice(0, 200) : String(error);
    throw new CheckpointError(`${file}: expected a state on a Tinker server, got ${got}. Start from an earlier one.`);
  }
}
