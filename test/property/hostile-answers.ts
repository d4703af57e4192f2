// Answers made to hang or exhaust a grader: deep nesting, towers of powers, huge factorials and sums, unpaired braces, lone
// surrogates, long texts, and random mixtures of all pieces of notation. Deterministic in the seed.

/** `count` hostile answers. */
export function* hostileAnswers(count: number, seed: number): Generator<string> {
  let state = seed;
  const next = () => {
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
  };
  const int = (n: number) => Math.floor(next() * n);
  const pick = <T>(all: ArrayLike<T>): T => all[int(all.length)];
  const size = () => pick([3, 20, 100, 300, 900, 3000, 50_000]);
  const pieces = [
    "(",
    ")",
    "[",
    "]",
    "{",
    "}",
    "\\{",
    "\\}",
    "|",
    "^",
    "_",
    "!",
    "+",
    "-",
    "*",
    "/",
    "=",
    "<",
    ">",
    ",",
    ";",
    ":",
    "&",
    "\\\\",
    "$",
    "%",
    "'",
    "\\frac",
    "\\sqrt",
    "\\sum_{k=1}^{1000000000}",
    "\\prod_{k=1}^{999}",
    "\\binom",
    "\\begin{pmatrix}",
    "\\end{pmatrix}",
    "\\pm",
    "\\cup",
    "\\in",
    "\\le",
    "\\text{",
    "\\boxed{",
    "\\left(",
    "x",
    "y",
    "e",
    "i",
    "pi",
    "sin",
    "ln",
    "1",
    "9",
    "99999",
    "10^9",
    "0.",
    "1e999",
    "\ud800",
    "\udfff",
    "\u0000",
    "²",
    "½",
    "√",
    " ",
    "\n",
    "and",
    "or",
    "five",
    "hundred",
    "cm",
  ];
  const makers: (() => string)[] = [
    () => "(".repeat(size()),
    () => {
      const n = size();
      return `${"(".repeat(n)}1${")".repeat(n)}`;
    },
    () => {
      const n = size();
      return "{".repeat(n) + "}".repeat(int(n));
    },
    () => `${"9^".repeat(int(80) + 1)}9`,
    () => `${"9^{".repeat(int(80) + 1)}9${"}".repeat(int(80))}`,
    () => `${int(1e9)}!`,
    () => `${int(400)}!^{${int(400)}}`,
    () => `9${"!".repeat(int(300))}`,
    () => "9".repeat(size()),
    () => `${"9".repeat(int(300))}^{${"9".repeat(int(5))}}`,
    () => `\\binom{${10 ** int(9)}}{${int(1e6)}}`,
    () =>
      `\\sum_{k=1}^{${10 ** int(10)}} ${pick(["k", "k^{k}", "\\frac{1}{k}", "\\sqrt{k}", "\\sin k", "k!", "x^k", "\\binom{100}{k}", "\\sum_{j=1}^{900} j"])}`,
    () => `(x+y+z+w+1)^{${int(200)}}`,
    () => "(a+b)".repeat(int(60)),
    () => `(${"abcdefghijk".split("").join("+")})^${int(9)}*(${"lmnopqrstuv".split("").join("-")})^${int(9)}`,
    () => Array.from({ length: int(300) }, (_, k) => `\\sqrt{${k}}`).join("+"),
    () => `${"\\sqrt{".repeat(int(70))}2${"}".repeat(70)}`,
    () => `${"1/(1+".repeat(int(60))}x${")".repeat(60)}`,
    () => `${"\\frac{1}{1+".repeat(int(40))}x${"}".repeat(40)}`,
    () => Array.from({ length: int(450) }, () => int(3)).join(","),
    () => `\\{${Array.from({ length: int(450) }, () => pick([..."abcxyz"])).join(",")}\\}`,
    () => `${"\\pm".repeat(int(100))}1`,
    () => Array.from({ length: int(9) }, () => `\\pm\\sqrt{${int(99)}}`).join(""),
    () => Array.from({ length: int(60) }, () => `(${int(99)},${int(99)})`).join("\\cup"),
    () => Array.from({ length: int(40) }, () => `x<${int(99)}`).join(" or "),
    () =>
      `\\begin{pmatrix}${Array.from({ length: int(12) }, () => Array.from({ length: 5 }, () => pick(["x", "y", "1", "2^{99}"])).join("&")).join("\\\\")}\\end{pmatrix}${pick(["", "^8", "^{-1}"])}`,
    () =>
      `\\begin{vmatrix}${Array.from({ length: 5 }, () => Array.from({ length: 5 }, () => pick(["x", "y", "\\sin x", "z+1"])).join("&")).join("\\\\")}\\end{vmatrix}`,
    () => "\\boxed{".repeat(size()),
    () => "$".repeat(size()),
    () => "\\(".repeat(size()),
    () => "a".repeat(size()),
    () => `${" ".repeat(size())}x`,
    () => "1 ".repeat(size()),
    () => "1,".repeat(size()),
    () => `${"-".repeat(size())}1`,
    () => `${"x".repeat(size())}=`,
    () => "\\text{".repeat(size()),
    () => `${int(1e9)}x^{${int(1e6)}}+1`,
    () => `(1+\\frac{1}{${10 ** int(15)}})^{${10 ** int(15)}}`,
    () => `\\sin(${"9".repeat(int(200))})`,
    () => `\\log_{${int(9)}}{${"7".repeat(int(400))}}`,
    () => `\\sqrt[${int(1e6)}]{${int(1e9)}}`,
    () => `${int(99)}^{1/${int(99)}}^{1/${int(99)}}`,
    () => Array.from({ length: int(120) }, () => pick(pieces)).join(pick(["", " "])),
    () => Array.from({ length: int(20) }, () => pick(pieces)).join(""),
    () => Array.from({ length: int(900) }, () => pick(pieces)).join(""),
    () => Array.from({ length: int(300) }, () => String.fromCharCode(int(65536))).join(""),
    () =>
      pick(["a", "9", "(", "\\frac", "$1$ "])
        .repeat((1_000_000 / 4) | 0)
        .slice(0, int(40) === 0 ? 1_000_000 : 5000),
  ];
  for (let i = 0; i < count; i++) yield makers[i % makers.length]();
}
