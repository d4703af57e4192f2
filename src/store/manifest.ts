// Checksums of what a finished phase keeps: manifest.json, written before the phase's marker. Training states have their own sums in
// state.json and may be removed later, so they are left out. Knows files, not what is in them.

import { existsSync, lstatSync, readdirSync } from "node:fs";
import { join, sep } from "node:path";
import { DataError } from "../util/errors.ts";
import { type FileSum, isPartial, sha256, sumFile, writeFileAtomic } from "../util/files.ts";
import { expectObject, preview, readJsonFile } from "../util/json.ts";

/** Name of the file in a phase's directory. */
export const MANIFEST = "manifest.json";
/** Newest format of run directories and manifests that this version reads and the one it writes. */
export const RUN_FORMAT = 1;

const MAX_BYTES = 16 << 20;
/** Directories of a phase that may be removed when it is over, and files that are no content. */
const LEFT_OUT = new Set(["state", "checkpoints", "journal", MANIFEST, "done.json"]);

/** Writes the checksums of a phase's files and of the marker that will follow. Errors: DiskError, DataError. */
export function writeManifest(dir: string, done: string): void {
  const sums = filesBelow(dir).map((name): [string, FileSum] => [name, sumFile(join(dir, name))]);
  sums.push(["done.json", { bytes: Buffer.byteLength(done), sha256: sha256(done) }]);
  const files = Object.fromEntries(sums);
  writeFileAtomic(join(dir, MANIFEST), `${JSON.stringify({ format: RUN_FORMAT, files }, undefined, 2)}\n`);
}

/** The checksums by path inside `dir`. Errors: DataError (damaged, newer, or a path that leaves the directory). */
export function readManifest(dir: string): Map<string, FileSum> {
  const file = join(dir, MANIFEST);
  const { format, files } = expectObject(readJsonFile(file, MAX_BYTES), file);
  checkFormat(format, file);
  const sums = new Map<string, FileSum>();
  for (const [name, value] of Object.entries(expectObject(files, `${file} files`))) {
    const { bytes, sha256: sum } = expectObject(value, `${file} ${preview(name)}`);
    if (!isInside(name)) throw new DataError(`${file}: expected paths inside the phase, got ${preview(name)}. It is damaged.`);
    if (typeof bytes !== "number" || typeof sum !== "string")
      throw new DataError(`${file} ${preview(name)}: expected bytes and sha256, got ${preview(value)}. It is damaged.`);
    sums.set(name, { bytes, sha256: sum });
  }
  return sums;
}

/** Errors: DataError when a file says that a newer version wrote it. A file without a format is of the first version. */
export function checkFormat(format: unknown, file: string): void {
  if (format === undefined || format === RUN_FORMAT) return;
  if (typeof format === "number" && format > RUN_FORMAT)
    throw new DataError(`${file}: expected format ${RUN_FORMAT} or older, got ${format}. A newer rzero made it: update rzero.`);
  throw new DataError(`${file}: expected format ${RUN_FORMAT}, got ${preview(format)}. It is damaged.`);
}

/** Whether a relative path with `/` stays below its directory. */
export function isInside(name: string): boolean {
  return name !== "" && !name.includes("\\") && !name.includes("\0") && name.split("/").every((part) => !/^\.{0,2}$/.test(part));
}

/** Regular files below a phase's directory, as paths with `/`, sorted; what a killed writer left is no content. */
function filesBelow(dir: string, below = ""): string[] {
  if (!existsSync(dir)) return [];
  const names = readdirSync(join(dir, below)).sort();
  return names.flatMap((name) => {
    const path = below === "" ? name : `${below}/${name}`;
    if (LEFT_OUT.has(path) || isPartial(name)) return [];
    const stat = lstatSync(join(dir, path.split("/").join(sep)));
    return stat.isDirectory() ? filesBelow(dir, path) : stat.isFile() ? [path] : [];
  });
}
