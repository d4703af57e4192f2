// The arms of a study are data: study/arms.yaml. This reads them, makes each arm's configuration, and tells in what two arms differ.
// Knows configurations; runs nothing.

import { parse } from "yaml";
import { z } from "zod";
import { loadConfig, type Override } from "../config/load.ts";
import type { Config } from "../config/schema.ts";
import { ConfigError, errorText } from "../util/errors.ts";
import { readText } from "../util/files.ts";

/** Keys of the configuration by dotted path. */
const settings = z.record(z.string().regex(/^[A-Za-z]\w*(\.\w+)*$/), z.unknown());

const armSchema = z.strictObject({
  name: z.string().regex(/^[a-z][a-z0-9-]{0,40}$/),
  /** What a reader sees. */
  title: z.string().min(1),
  recipe: z.string().min(1).default("tiny"),
  iterations: z.int().min(1).max(99),
  /** The arm it is compared with, seed by seed; absent: none. */
  against: z.string().optional(),
  /** Which runs come first when time is short: those of stage 1, seed by seed, then those of stage 2, … */
  stage: z.int().min(1).default(1),
  /** Draw it among the curves over iterations. */
  curve: z.boolean().default(false),
  /** Score the model that the run returns at temperature 0.25 as well. */
  lowTemperature: z.boolean().default(false),
  set: settings.default({}),
});

const studySchema = z.strictObject({
  /** Keys that every arm has. */
  common: settings.default({}),
  /** Keys that go over all others with `--quick`: a check of the tool, no result. */
  quick: settings.default({}),
  arms: z.array(armSchema).min(1),
});

export type Arm = z.output<typeof armSchema>;
export type Study = z.output<typeof studySchema>;

/** Reads a file of arms. Errors: ConfigError naming the place. */
export function readStudy(file: string): Study {
  let text: string;
  try {
    text = readText(file, 256 * 1024);
  } catch (error) {
    throw new ConfigError(errorText(error));
  }
  return parseStudy(text, file);
}

/** As readStudy, from text; `where` names it in errors. */
export function parseStudy(text: string, where: string): Study {
  let raw: unknown;
  try {
    raw = parse(text);
  } catch (error) {
    throw new ConfigError(`${where}: expected YAML, got an error: ${errorText(error).split("\n")[0]}`);
  }
  const result = studySchema.safeParse(raw);
  if (!result.success) {
    const [{ path, message }] = result.error.issues;
    throw new ConfigError(`${where}: ${path.join(".")}: ${message}.`);
  }
  const names = new Set<string>();
  for (const { name, against } of result.data.arms) {
    if (names.has(name)) throw new ConfigError(`${where}: expected arms of different names, got ${name} twice.`);
    if (against !== undefined && !names.has(against))
      throw new ConfigError(`${where}: arm ${name}: expected "against" to name an arm above it, got ${against}.`);
    names.add(name);
  }
  return result.data;
}

/** The arms of these names, in the file's order; all without names. Errors: ConfigError for an unknown name. */
export function chooseArms({ arms }: Study, names?: readonly string[]): Arm[] {
  if (names === undefined) return [...arms];
  const unknown = names.find((name) => !arms.some((arm) => arm.name === name));
  if (unknown !== undefined)
    throw new ConfigError(`--arms: expected names among ${arms.map(({ name }) => name).join(", ")}, got ${unknown}.`);
  return arms.filter(({ name }) => names.includes(name));
}

/** What goes over the recipe of an arm, the later over the earlier. */
export function overridesOf({ common, quick }: Study, arm: Arm, options: { quick: boolean }): Override[] {
  const all = { ...common, iterations: arm.iterations, ...arm.set, ...(options.quick ? quick : {}) };
  return Object.entries(all).map(([path, value]) => ({ path: path.split("."), text: asYaml(value) }));
}

/** A word stands as it is, because some keys are options of the command too, which read no YAML; all else as JSON, which is YAML. */
function asYaml(value: unknown): string {
  return typeof value === "string" && /^[A-Za-z][\w-]*$/.test(value) && parse(value) === value ? value : JSON.stringify(value);
}

/** An arm's whole configuration. Errors: ConfigError. */
export function resolveArm(study: Study, arm: Arm, options: { quick: boolean } = { quick: false }): Config {
  return loadConfig({ recipe: arm.recipe, overrides: overridesOf(study, arm, options) });
}

/** Keys that do not make an experiment another one. */
const NOT_THE_METHOD = new Set(["name", "seed", "iterations", "preset", "engine.threads"]);

/** Keys in which two configurations differ, each as `key: value` of the first; an absent value is `none`. */
export function differences(config: Config, other: Config): string[] {
  const [mine, theirs] = [flatten(config), flatten(other)];
  const keys = [...new Set([...mine.keys(), ...theirs.keys()])].filter((key) => !NOT_THE_METHOD.has(key));
  return keys.filter((key) => mine.get(key) !== theirs.get(key)).map((key) => `${key}: ${mine.get(key) ?? "none"}`);
}

/** JSON whose keys are sorted: their order says nothing. */
function canonical(value: unknown): string {
  return JSON.stringify(value, (_, part: unknown) =>
    typeof part === "object" && part !== null && !Array.isArray(part)
      ? Object.fromEntries(Object.entries(part).sort(([a], [b]) => (a < b ? -1 : 1)))
      : part,
  );
}

/** Leaves by dotted path; a list is one leaf. */
function flatten(value: unknown, path = ""): Map<string, string> {
  if (typeof value !== "object" || value === null || Array.isArray(value)) return new Map([[path, canonical(value)]]);
  const parts = Object.entries(value).filter(([, part]) => part !== undefined);
  return new Map(parts.flatMap(([key, part]) => [...flatten(part, path === "" ? key : `${path}.${key}`)]));
}

/** An arm with its configuration and what sets it apart from the one it is compared with. */
export interface PlannedArm extends Arm {
  readonly config: Config;
  readonly differs: readonly string[];
}

/**
 * The arms to run. An arm that is the same as the one it is compared with ablates what that one has not, and is left out, named in
 * `empty`. Errors: ConfigError.
 */
export function planArms(
  study: Study,
  arms: readonly Arm[],
  options: { quick: boolean },
): { planned: PlannedArm[]; empty: string[] } {
  const all = arms.map((arm): PlannedArm => {
    const config = resolveArm(study, arm, options);
    const other = study.arms.find(({ name }) => name === arm.against);
    return { ...arm, config, differs: other === undefined ? [] : differences(config, resolveArm(study, other, options)) };
  });
  const isEmpty = ({ against, differs }: PlannedArm) => against !== undefined && differs.length === 0;
  return { planned: all.filter((arm) => !isEmpty(arm)), empty: all.filter(isEmpty).map(({ name }) => name) };
}
