// Arithmetic of matrices as trees: sums, products, multiples, whole powers, determinants. Sizes are capped.

import { spend } from "./budget.ts";
import { NoValueError } from "./exact.ts";
import { integer, type Node, negative, product, quotient, sum } from "./tree.ts";

type Rows = readonly (readonly Node[])[];

/** The determinant of a matrix of at most 5 rows, by expansion. Errors: NoValueError. */
export function determinant(node: Node): Node {
  const rows = matrixValue(node);
  if (rows === undefined || rows.length !== rows[0].length || rows.length > 5) throw new NoValueError("a determinant");
  return expand(rows);
}

function expand(rows: Rows): Node {
  spend();
  if (rows.length === 1) return rows[0][0];
  let out: Node = integer(0);
  rows[0].forEach((entry, column) => {
    const minor = expand(rows.slice(1).map((row) => row.filter((_, index) => index !== column)));
    const term = product(entry, minor);
    out = sum(out, column % 2 === 0 ? term : negative(term));
  });
  return out;
}

/** The rows of a matrix expression; undefined when the tree is no matrix or its shapes do not fit. */
export function matrixValue(node: Node): Rows | undefined {
  if (node.kind === "matrix") return node.rows;
  if (node.kind === "add") {
    const parts = node.args.map(matrixValue);
    return parts.every((part) => part !== undefined) ? (parts as Rows[]).reduce((a, b) => addRows(a, b)) : undefined;
  }
  if (node.kind === "multiply") return multiplyAll(node.args);
  if (node.kind === "power" && node.exponent.kind === "symbol" && /^(?:T|top|intercal)$/.test(node.exponent.name)) {
    const rows = matrixValue(node.base);
    return rows?.[0].map((_, column) => rows.map((row) => row[column]));
  }
  if (node.kind === "power" && node.exponent.kind === "number") {
    const times = Number(node.exponent.value.numerator);
    const base = matrixValue(node.base);
    if (base !== undefined && times === -1) return inverse(base);
    if (base === undefined || node.exponent.value.denominator !== 1n || times < 1 || times > 8) return undefined;
    let out: Rows | undefined = base;
    for (let i = 1; i < times && out !== undefined; i++) out = multiplyRows(out, base);
    return out;
  }
  return undefined;
}

/** The inverse of a matrix of at most 3 rows, by its minors. */
function inverse(rows: Rows): Rows | undefined {
  const size = rows.length;
  if (size !== rows[0].length || size > 3) return undefined;
  const whole = expand(rows);
  return rows.map((_, i) =>
    rows.map((_, j) => {
      const minor = rows.filter((_, row) => row !== j).map((row) => row.filter((_, column) => column !== i));
      const cofactor = size === 1 ? integer(1) : expand(minor);
      return quotient((i + j) % 2 === 0 ? cofactor : negative(cofactor), whole);
    }),
  );
}

function addRows(a: Rows, b: Rows): Rows {
  if (a.length !== b.length || a[0].length !== b[0].length) throw new NoValueError("shapes of matrices");
  return a.map((row, i) => row.map((entry, j) => sum(entry, b[i][j])));
}

function multiplyAll(args: readonly Node[]): Rows | undefined {
  let factor: Node | undefined;
  let out: Rows | undefined;
  for (const arg of args) {
    const rows = matrixValue(arg);
    if (rows === undefined) factor = factor === undefined ? arg : product(factor, arg);
    else out = out === undefined ? rows : multiplyRows(out, rows);
    if (rows !== undefined && out === undefined) return undefined;
  }
  const scalar = factor;
  return out === undefined || scalar === undefined ? out : out.map((row) => row.map((entry) => product(scalar, entry)));
}

function multiplyRows(a: Rows, b: Rows): Rows | undefined {
  if (a[0].length !== b.length) return undefined;
  spend(a.length * b[0].length * b.length * 4);
  return a.map((row) => b[0].map((_, column) => row.map((entry, k) => product(entry, b[k][column])).reduce(sum)));
}
