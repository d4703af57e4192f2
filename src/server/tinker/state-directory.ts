// A Tinker server's state directory as a whole: which base model it belongs to, and how often a server started on it.

import { existsSync, readdirSync, statSync } from "node:fs";
import { join } from "node:path";
import { z } from "zod";
import { ConfigError } from "../../util/errors.ts";
import { readBytes, sha256, writeFileAtomic } from "../../util/files.ts";
import { readJsonFile } from "../../util/json.ts";
import { parseAs } from "./training-journal.ts";

const serverSchema = z.object({ format: z.literal(1), epoch: z.int().min(1), base: z.string() });

/** Counts the starts of a state directory, which belongs to one base model. Errors: ConfigError (another base), DataError, DiskError. */
export function nextEpoch(dir: string, baseDir: string): number {
  const file = join(dir, "server.json");
  const base = fingerprint(baseDir);
  const last = existsSync(file) ? parseAs(serverSchema, readJsonFile(file, 4096), file) : undefined;
  if (last !== undefined && last.base !== base)
    throw new ConfigError(
      `state: expected a directory of ${baseDir}, got ${dir}, whose models were trained over another base model.`,
    );
  const epoch = (last?.epoch ?? 0) + 1;
  writeFileAtomic(file, JSON.stringify({ format: 1, epoch, base }));
  return epoch;
}

/** Names a model by its configuration and the sizes of its weights, wherever it lies. */
function fingerprint(dir: string): string {
  const weights = readdirSync(dir).filter((name) => name.endsWith(".safetensors"));
  const sizes = weights.sort().map((name) => `${name} ${statSync(join(dir, name)).size}`);
  return sha256([sha256(readBytes(join(dir, "config.json"), 4 << 20)), ...sizes].join("\n"));
}
