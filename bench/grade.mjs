// Speed of equivalence on ordinary answers, one core, warm: `node bench/grade.mjs` after `npm run build`.
// Every pair is compared once with nothing remembered about its answers (each carries a number of its own), then all over again.

import { equivalent } from "../dist/answer/equivalent.js";

const templates = [
  (n) => [`${n}`, `${n}`],
  (n) => [`\\frac{${n}}{7}`, `${n}/7`],
  (n) => [`${n}.5`, `\\frac{${2 * n + 1}}{2}`],
  (n) => [`${n}\\sqrt{2}`, `\\sqrt{2}\\cdot ${n}`],
  (n) => [`${n}\\pi`, `${n + 1}\\pi`],
  (n) => [`(${n}, ${n + 1})`, `\\left(${n},${n + 1}\\right)`],
  (n) => [`x=${n}`, `${n}`],
  (n) => [`${n}, ${n + 2}`, `\\{${n + 2}, ${n}\\}`],
  (n) => [`[${n}, \\infty)`, `x \\ge ${n}`],
  (n) => [`x^2+${n}x`, `x(x+${n})`],
  (n) => [`${n}\\text{ cm}`, `${n}`],
  (n) => [`${n}\\%`, `${n / 100}`],
  (n) => [`\\frac{1+\\sqrt{${n}}}{2}`, `0.5+\\frac{\\sqrt{${n}}}{2}`],
  (n) => [`2x+3y=${n}`, `4x+6y-${2 * n}=0`],
  (n) => [`\\text{answer ${n}}`, `answer ${n + 1}`],
];
const pairs = [];
for (let n = 1; n <= 1000; n++) for (const make of templates) pairs.push(make(n));

for (const name of ["cold", "new answers", "seen answers"]) {
  const offset = name === "cold" ? 0 : 1000;
  const batch =
    name === "new answers" ? templates.flatMap((make) => Array.from({ length: 1000 }, (_, n) => make(n + 1 + offset))) : pairs;
  const started = performance.now();
  let same = 0;
  for (const [predicted, truth] of batch) if (equivalent({ predicted, truth }).equivalent) same++;
  const seconds = (performance.now() - started) / 1000;
  console.log(`${name}: ${Math.round(batch.length / seconds)} pairs/s (${same} of ${batch.length} equivalent)`);
}
