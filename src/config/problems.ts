// Turns a schema's complaint into `place: expected …, got …. Hint.`, where the place is `file:line:col` or the flag that
// gave the value. Reads what is allowed from the schema itself (as JSON Schema), so the two cannot differ.

import { type Document, isMap, isScalar, isSeq, type LineCounter, type Node } from "yaml";
import { z } from "zod";
import { nearest } from "../util/nearest.ts";
import { configSchema } from "./schema.ts";

/** Where a configuration came from. */
export interface Source {
  readonly file: string;
  readonly document: Document;
  readonly lines: LineCounter;
  readonly overrides: readonly { readonly path: readonly string[] }[];
}

type Path = readonly PropertyKey[];

/** The part of JSON Schema that zod writes for our keys. */
interface JsonSchema {
  type?: string;
  const?: unknown;
  enum?: unknown[];
  minimum?: number;
  maximum?: number;
  exclusiveMinimum?: number;
  exclusiveMaximum?: number;
  minItems?: number;
  properties?: Record<string, JsonSchema>;
  items?: JsonSchema;
  prefixItems?: JsonSchema[];
  anyOf?: JsonSchema[];
  oneOf?: JsonSchema[];
}

/** One line for one issue; `raw` is the value that was checked. */
export function describeIssue(issue: z.core.$ZodIssue, raw: unknown, source: Source): string {
  if (issue.code === "unrecognized_keys") return describeUnknownKey(issue.keys[0], issue.path, source);
  const where = placeOf(issue.path, source, false);
  const name = issue.path.join(".") || "configuration";
  const value = valueAt(raw, issue.path);
  const got = value === undefined && issue.code === "custom" ? "the default" : mayHoldKey(issue.path) ? "another" : show(value);
  const expected = issue.code === "custom" ? issue.message : `expected ${expectation(schemaAt(issue.path)) ?? issue.message}`;
  return `${where}: ${name}: ${expected}, got ${got}.`;
}

/** Whether a key may have been written there by mistake, so that the value is not to be shown. */
function mayHoldKey(path: Path): boolean {
  return path.some((part) => part === "apiKeyEnv" || part === "url");
}

function describeUnknownKey(key: string, parent: Path, source: Source): string {
  const known = Object.keys(propertiesOf(schemaAt(parent)));
  const close = nearest(key, known);
  const hint = close ? `Did you mean ${[...parent, close].join(".")}?` : `Known here: ${known.join(", ")}.`;
  const inside = parent.length > 0 ? ` in ${parent.join(".")}` : "";
  return `${placeOf([...parent, key], source, true)}: expected a known key${inside}, got "${key}". ${hint}`;
}

/** `--flag` when an override touches the path, else file:line:col of the key (or of the value). */
function placeOf(path: Path, source: Source, ofKey: boolean): string {
  const text = path.map(String);
  const flag = source.overrides.findLast(({ path: given }) => {
    const shared = Math.min(given.length, text.length);
    return given.slice(0, shared).every((part, index) => part === text[index]);
  });
  if (flag) return `--${flag.path.join(".")}`;
  const offset = offsetOf(source.document, path, ofKey);
  if (offset === undefined) return source.file;
  const { line, col } = source.lines.linePos(offset);
  return `${source.file}:${line}:${col}`;
}

/** Offset of the deepest part of the path that the file holds. */
function offsetOf(document: Document, path: Path, ofKey: boolean): number | undefined {
  let node = document.contents as Node | null;
  let offset = node?.range?.[0];
  for (const [depth, part] of path.entries()) {
    if (isSeq(node)) {
      node = (node.items[Number(part)] as Node | undefined) ?? null;
      offset = node?.range?.[0] ?? offset;
      continue;
    }
    const pair = isMap(node) ? node.items.find(({ key }) => isScalar(key) && String(key.value) === String(part)) : undefined;
    if (!pair) return offset;
    const last = depth === path.length - 1;
    node = pair.value as Node | null;
    const keyOffset = (pair.key as Node).range?.[0];
    offset = last && ofKey ? keyOffset : (node?.range?.[0] ?? keyOffset);
  }
  return offset;
}

let cachedSchema: JsonSchema | undefined;

function schemaAt(path: Path): JsonSchema | undefined {
  cachedSchema ??= z.toJSONSchema(configSchema, { io: "input" }) as JsonSchema;
  let schema: JsonSchema | undefined = cachedSchema;
  for (const part of path) {
    if (!schema) return undefined;
    schema = typeof part === "number" ? (schema.prefixItems?.[part] ?? schema.items) : propertiesOf(schema)[String(part)];
  }
  return schema;
}

/** Allowed keys; those of all variants of a union together. */
function propertiesOf(schema: JsonSchema | undefined): Record<string, JsonSchema> {
  const variants = schema?.anyOf ?? schema?.oneOf ?? [];
  return Object.assign({}, ...variants.map(propertiesOf), schema?.properties);
}

/** What a schema accepts, in words. */
function expectation(schema: JsonSchema | undefined): string | undefined {
  if (!schema) return undefined;
  const variants = schema.anyOf ?? schema.oneOf;
  if (variants) return variants.map(expectation).join(" or ");
  if (schema.const !== undefined) return show(schema.const);
  if (schema.enum) return schema.enum.map(show).join(" or ");
  if (schema.type === "array" && schema.prefixItems) return `a list of ${schema.prefixItems.length} numbers`;
  if (schema.type === "array") return schema.minItems ? "a list that is not empty" : "a list";
  if (schema.type === "object") return `keys and values (${Object.keys(propertiesOf(schema)).join(", ")})`;
  if (schema.type === "boolean") return "true or false";
  if (schema.type === "string") return "a text";
  return `${schema.type === "integer" ? "a whole number" : "a number"}${rangeText(schema)}`;
}

function rangeText({ minimum, maximum, exclusiveMinimum, exclusiveMaximum }: JsonSchema): string {
  const low = minimum !== undefined && minimum > Number.MIN_SAFE_INTEGER ? `≥ ${minimum}` : "";
  const above = exclusiveMinimum !== undefined ? `> ${exclusiveMinimum}` : "";
  const high = maximum !== undefined && maximum < Number.MAX_SAFE_INTEGER ? `≤ ${maximum}` : "";
  const below = exclusiveMaximum !== undefined ? `< ${exclusiveMaximum}` : "";
  const bounds = [low, above, high, below].filter((text) => text !== "");
  return bounds.length > 0 ? ` ${bounds.join(" and ")}` : "";
}

function valueAt(raw: unknown, path: Path): unknown {
  let value = raw;
  for (const part of path)
    value = typeof value === "object" && value !== null ? (value as Record<PropertyKey, unknown>)[part] : undefined;
  return value;
}

function show(value: unknown): string {
  if (value === undefined) return "nothing";
  const text = JSON.stringify(value) ?? String(value);
  return text.length > 80 ? `${text.slice(0, 77)}…` : text;
}
