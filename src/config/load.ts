// From a recipe name or a YAML file, a preset and `--a.b=c` overrides to one checked Config. Order, later wins:
// schema defaults, preset, file, overrides. Knows files and YAML; the keys themselves are schema.ts.

import { existsSync, readdirSync } from "node:fs";
import { basename, dirname, extname, isAbsolute, join, resolve } from "node:path";
import { isMap, LineCounter, parseDocument, parse as parseYaml } from "yaml";
import { ConfigError, errorText } from "../util/errors.ts";
import { readText } from "../util/files.ts";
import { nearest } from "../util/nearest.ts";
import { packageRoot } from "../util/package-root.ts";
import { PRESETS } from "./presets.ts";
import { describeIssue, type Source } from "./problems.ts";
import { type Config, configSchema, PRESET_NAMES } from "./schema.ts";

/** One option of the configuration given as a flag: `--path.to.key=text`; the text is read as YAML. */
export interface Override {
  readonly path: readonly string[];
  readonly text: string;
}

/** A configuration before it is checked. */
type Raw = { [key: string]: unknown };

const MAX_CONFIG_BYTES = 256 * 1024;
const FORBIDDEN_KEYS = new Set(["__proto__", "constructor", "prototype"]);

/**
 * Loads a configuration. `recipe` is a name (a file of recipes/) or a YAML file; default `tiny`.
 * Errors: ConfigError `file:line:col: expected …, got …`.
 */
export function loadConfig(options: { recipe?: string; overrides?: readonly Override[] } = {}): Config {
  return loadConfigFile(findRecipe(options.recipe ?? "tiny"), options.overrides);
}

/** Loads a configuration file. Relative paths in it are relative to it; those in overrides to the current directory. */
export function loadConfigFile(file: string, overrides: readonly Override[] = []): Config {
  return parseConfigText(readBounded(file), file, overrides);
}

/** As `loadConfigFile`, from text. `file` names it in errors, gives the default `name` and anchors relative paths. */
export function parseConfigText(text: string, file: string, overrides: readonly Override[] = []): Config {
  try {
    return parseChecked(text, file, overrides);
  } catch (error) {
    if (error instanceof ConfigError) throw error;
    throw new ConfigError(`${file}: expected a configuration, got YAML that cannot be read (${errorText(error).slice(0, 200)}).`);
  }
}

function parseChecked(text: string, file: string, overrides: readonly Override[]): Config {
  const lines = new LineCounter();
  const document = parseDocument(text, { lineCounter: lines, prettyErrors: false });
  const [problem] = document.errors;
  if (problem) {
    const { line, col } = lines.linePos(problem.pos[0]);
    throw new ConfigError(`${file}:${line}:${col}: expected YAML, got an error: ${problem.message.split("\n")[0]}`);
  }
  if (document.contents !== null && !isMap(document.contents))
    throw new ConfigError(`${file}:1:1: expected keys and values ("seed: 1"), got something else.`);
  const fromFile = (document.toJS() as Raw | null) ?? {};
  const source: Source = { file, document, lines, overrides };
  const changes = overridesToRaw(fromFile, overrides);
  const written = mergeAll([withAbsolutePaths(withoutOtherEngine(fromFile, changes), dirname(resolve(file))), changes]);
  const named = { name: basename(file, extname(file)), ...written };
  const result = configSchema.safeParse(mergeAll([presetOf(written), named]));
  if (result.success) return result.data;
  const [first, ...others] = result.error.issues;
  const more = others.length > 0 ? ` (${others.length} more such ${others.length === 1 ? "error" : "errors"})` : "";
  throw new ConfigError(describeIssue(first, named, source) + more);
}

/** Names of the recipes that come with the package. */
export function recipeNames(): string[] {
  const dir = join(packageRoot, "recipes");
  if (!existsSync(dir)) return [];
  return readdirSync(dir)
    .filter((file) => file.endsWith(".yaml"))
    .map((file) => basename(file, ".yaml"))
    .sort();
}

function findRecipe(recipe: string): string {
  if (/\.ya?ml$/.test(recipe) || recipe.includes("/") || recipe.includes("\\")) return recipe;
  const file = join(packageRoot, "recipes", `${recipe}.yaml`);
  if (existsSync(file)) return file;
  const known = recipeNames();
  const close = nearest(recipe, known);
  throw new ConfigError(
    `recipe: expected a name (${known.join(", ")}) or a YAML file, got "${recipe}".${close ? ` Did you mean ${close}?` : ""}`,
  );
}

function readBounded(file: string): string {
  try {
    return readText(file, MAX_CONFIG_BYTES);
  } catch (error) {
    throw new ConfigError(errorText(error));
  }
}

/** An unknown preset name gives an empty one here; the schema then reports it with its place. */
function presetOf(raw: Raw): Raw {
  const name = PRESET_NAMES.find((candidate) => candidate === raw.preset);
  return name ? (PRESETS[name] as Raw) : {};
}

/** Parses `--a.b=c` or `a.b=c`. Errors: ConfigError. */
export function parseOverride(argument: string): Override {
  const match = /^(?:--)?([A-Za-z][\w]*(?:\.\w+)*)=([\s\S]*)$/.exec(argument);
  if (!match) throw new ConfigError(`option: expected --path.to.key=value, got "${argument}".`);
  return { path: match[1].split("."), text: match[2] };
}

function overridesToRaw(fromFile: Raw, overrides: readonly Override[]): Raw {
  let raw: Raw = {};
  for (const { path, text } of overrides) {
    let value: unknown;
    try {
      value = parseYaml(text) as unknown;
    } catch (error) {
      throw new ConfigError(
        `--${path.join(".")}: expected a YAML value, got "${text}" (${(error as Error).message.split("\n")[0]}).`,
      );
    }
    raw = mergeAll([raw, withAbsolutePaths(nest(path, value, fromFile), process.cwd())]);
  }
  return raw;
}

/** A recipe without its engine's settings where an override names an engine of another kind. */
function withoutOtherEngine(fromFile: Raw, changes: Raw): Raw {
  const kindOf = ({ engine }: Raw) => (isRaw(engine) ? engine.kind : undefined);
  const wanted = kindOf(changes);
  if (wanted === undefined || wanted === (kindOf(fromFile) ?? "local")) return fromFile;
  const { engine: _, ...rest } = fromFile;
  return rest;
}

/** {a: {b: value}} of path a.b; a number after a list of the file gives that list with one entry replaced. */
function nest(path: readonly string[], value: unknown, existing: unknown): Raw {
  const [key, ...rest] = path;
  const below = isRaw(existing) || Array.isArray(existing) ? (existing as Raw)[key] : undefined;
  const inner = rest.length === 0 ? value : nest(rest, value, below);
  if (!Array.isArray(existing) || !/^\d+$/.test(key)) return { [key]: inner };
  const copy = [...(existing as unknown[])];
  copy[Number(key)] = isRaw(inner) && isRaw(below) ? mergeAll([below, inner]) : inner;
  return copy as unknown as Raw;
}

/** Deep merge: maps join, everything else (lists too) is replaced by the later one. */
function mergeAll(parts: readonly Raw[]): Raw {
  const merged: Raw = {};
  for (const part of parts)
    for (const [key, value] of Object.entries(part)) {
      if (FORBIDDEN_KEYS.has(key)) throw new ConfigError(`configuration: expected a known key, got "${key}".`);
      const before = merged[key];
      merged[key] = isRaw(value) ? mergeAll(isRaw(before) ? [before, value] : [value]) : value;
    }
  return merged;
}

function isRaw(value: unknown): value is Raw {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** Makes `base` and the data files of benchmarks and probes absolute where such a file is there; other text (tiny-base) stays. */
function withAbsolutePaths(raw: Raw, dir: string): Raw {
  const anchor = (value: unknown) =>
    typeof value === "string" && !isAbsolute(value) && value !== "tiny-base" && existsSync(join(dir, value))
      ? join(dir, value)
      : value;
  const copy: Raw = { ...raw };
  if ("base" in copy) copy.base = anchor(copy.base);
  if (isRaw(copy.engine) && "tokenizer" in copy.engine)
    copy.engine = { ...copy.engine, tokenizer: anchor(copy.engine.tokenizer) };
  if (isRaw(copy.evaluation) && Array.isArray(copy.evaluation.benches)) {
    const benches = copy.evaluation.benches.map((bench: unknown) =>
      isRaw(bench) ? { ...bench, data: anchor(bench.data) } : bench,
    );
    copy.evaluation = { ...copy.evaluation, benches };
  }
  const dataOf = (part: Raw): Raw => ("data" in part ? { ...part, data: anchor(part.data) } : part);
  if (isRaw(copy.domain) && isRaw(copy.domain.verifier) && "path" in copy.domain.verifier)
    copy.domain = { ...copy.domain, verifier: { ...copy.domain.verifier, path: anchor(copy.domain.verifier.path) } };
  if (isRaw(copy.anchors)) copy.anchors = dataOf(copy.anchors);
  if (isRaw(copy.guard) && isRaw(copy.guard.heldOut)) copy.guard = { ...copy.guard, heldOut: dataOf(copy.guard.heldOut) };
  if (isRaw(copy.audit) && isRaw(copy.audit.probes)) copy.audit = { ...copy.audit, probes: dataOf(copy.audit.probes) };
  return copy;
}
