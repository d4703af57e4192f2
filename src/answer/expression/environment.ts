// Reads LaTeX environments: matrices, arrays, determinants, cases. Knows no meaning.

import { readStatements } from "./parse.ts";
import { GrammarError, type Reader } from "./reader.ts";
import { call, type Node } from "./tree.ts";

const MATRICES = /^(?:[pbBvV]?matrix|smallmatrix|array|tabular)$/;

/** What follows `\begin`. Errors: GrammarError for other environments and for rows of unequal length in a matrix. */
export function readEnvironment(reader: Reader): Node {
  const name = readName(reader);
  if (name === "array" || name === "tabular") skipGroup(reader);
  if (!MATRICES.test(name) && name !== "cases") throw new GrammarError(`an environment ${name}`);
  const rows = readRows(reader);
  const closing = readName(reader);
  if (closing !== name) throw new GrammarError(`\\begin{${name}} closed by ${closing}`);
  if (name === "cases") return { kind: "cases", rows };
  if (rows.some((row) => row.length !== rows[0].length)) throw new GrammarError("rows of unequal length");
  const matrix: Node = { kind: "matrix", rows };
  return name === "vmatrix" ? call("det", matrix) : matrix;
}

/** The name in braces, with its star or starred form dropped. */
function readName(reader: Reader): string {
  reader.expect("{");
  let name = "";
  while (!reader.is("}")) {
    const { type, value } = reader.take();
    if (type === "end") throw new GrammarError("an environment without name");
    if (value !== "*") name += value;
  }
  reader.expect("}");
  return name;
}

function skipGroup(reader: Reader): void {
  reader.expect("{");
  while (!reader.accept("}")) if (reader.take().type === "end") throw new GrammarError("an open group");
}

/** Rows up to and with `\end`; a last empty row is none. */
function readRows(reader: Reader): Node[][] {
  const rows: Node[][] = [];
  let row: Node[] = [];
  while (true) {
    const { type, value } = reader.peek();
    if (type === "command" && value === "end") {
      reader.take();
      if (row.length > 0) rows.push(row);
      return rows.length > 0 ? rows : fail();
    }
    if (reader.accept("\\\\")) {
      if (row.length > 0) rows.push(row);
      row = [];
    } else if (!reader.accept("&")) row.push(readCell(reader));
  }
}

/** One cell: a statement list up to `&`, a row's end or the environment's end. */
function readCell(reader: Reader): Node {
  const start = reader.at;
  let end = start;
  for (let depth = 0; ; end++) {
    const { type, value } = reader.tokens[end] ?? { type: "end", value: "" };
    if (type === "end") return fail();
    if (type === "command" && value === "begin") depth++;
    if (type === "command" && value === "end" && depth-- === 0) break;
    if (depth === 0 && type === "op" && (value === "&" || value === "\\\\")) break;
  }
  const rest = reader.tokens.splice(end);
  reader.tokens.push({ type: "end", value: "", spaced: false });
  const cell = readStatements(reader);
  if (reader.peek().type !== "end") fail();
  reader.tokens.splice(reader.at);
  reader.tokens.push(...rest);
  return cell;
}

function fail(): never {
  throw new GrammarError("an environment that does not end");
}
