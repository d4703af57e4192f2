// What a model is, as hashes: an evaluation names the weights it measured, and a resumed one can tell that they are still the same.
// Knows the files of a Hugging Face model directory, not what they mean.

import { createHash } from "node:crypto";
import { createReadStream, existsSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { DataError } from "../util/errors.ts";
import { sha256 } from "../util/files.ts";
import { expectObject, readJsonFile } from "../util/json.ts";

/** SHA-256 in hex. */
export interface ModelHash {
  /** Of the weights: of the file itself when there is one, else of the lines `sha256  name` of all, sorted by name. */
  readonly weights: string;
  /** Of configuration, tokenizer and chat template, as lines `sha256  name`. */
  readonly files: string;
}

const TEXT_FILES = [
  "chat_template.jinja",
  "config.json",
  "generation_config.json",
  "special_tokens_map.json",
  "tokenizer.json",
  "tokenizer_config.json",
];

/**
 * Hashes a model directory, and with an adapter its base in another directory; about a second per gigabyte.
 * Errors: DataError when one has no weights.
 */
export async function hashModel(dir: string, base: string = dir): Promise<ModelHash> {
  const own = await hashDirectory(dir);
  if (base === dir) return own;
  const below = await hashDirectory(base);
  const joined = (part: keyof ModelHash) =>
    hashLines([
      { name: "adapter", hash: own[part] },
      { name: "base", hash: below[part] },
    ]);
  return { weights: joined("weights"), files: joined("files") };
}

async function hashDirectory(dir: string): Promise<ModelHash> {
  const names = readdirSync(dir)
    .filter((name) => name.endsWith(".safetensors"))
    .sort();
  if (names.length === 0) throw new DataError(`${dir}: expected weights (*.safetensors), got none.`);
  const weights = await hashFiles(dir, names);
  const texts = TEXT_FILES.filter((name) => existsSync(join(dir, name)));
  return {
    weights: names.length === 1 ? weights[0].hash : hashLines(weights),
    files: hashLines([...(await hashFiles(dir, texts)), ...adapterNumbers(dir)]),
  };
}

/** An adapter's configuration without the path of its base, which differs between machines and is hashed by content. */
function adapterNumbers(dir: string): NamedHash[] {
  const file = join(dir, "adapter_config.json");
  if (!existsSync(file)) return [];
  const { base_model_name_or_path: _, ...numbers } = expectObject(readJsonFile(file, 1 << 20), file);
  return [{ name: "adapter_config.json", hash: sha256(JSON.stringify(numbers)) }];
}

interface NamedHash {
  readonly name: string;
  readonly hash: string;
}

async function hashFiles(dir: string, names: readonly string[]): Promise<NamedHash[]> {
  const hashes: NamedHash[] = [];
  for (const name of names) {
    const hash = createHash("sha256");
    for await (const chunk of createReadStream(join(dir, name), { highWaterMark: 1 << 20 })) hash.update(chunk as Buffer);
    hashes.push({ name, hash: hash.digest("hex") });
  }
  return hashes;
}

function hashLines(hashes: readonly NamedHash[]): string {
  return sha256(hashes.map(({ name, hash }) => `${hash}  ${name}\n`).join(""));
}
