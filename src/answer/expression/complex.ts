// Complex doubles: the arithmetic and functions that numeric.ts evaluates with. Principal branches.

/** re + im·i. */
export interface Complex {
  readonly re: number;
  readonly im: number;
}

const ONE: Complex = { re: 1, im: 0 };
const I: Complex = { re: 0, im: 1 };

/** a · b. */
export function multiply(a: Complex, b: Complex): Complex {
  return { re: a.re * b.re - a.im * b.im, im: a.re * b.im + a.im * b.re };
}

/** a / b. */
export function divide(a: Complex, b: Complex): Complex {
  const size = b.re * b.re + b.im * b.im;
  return { re: (a.re * b.re + a.im * b.im) / size, im: (a.im * b.re - a.re * b.im) / size };
}

function plus(a: Complex, b: Complex): Complex {
  return { re: a.re + b.re, im: a.im + b.im };
}

function minus(a: Complex, b: Complex): Complex {
  return { re: a.re - b.re, im: a.im - b.im };
}

function times(a: Complex, by: number): Complex {
  return { re: a.re * by, im: a.im * by };
}

/** a^b, exactly for small whole exponents. */
export function power(a: Complex, b: Complex): Complex {
  if (b.im === 0 && Number.isInteger(b.re) && Math.abs(b.re) <= 64) {
    let out = ONE;
    for (let i = 0; i < Math.abs(b.re); i++) out = multiply(out, a);
    return b.re < 0 ? divide(ONE, out) : out;
  }
  if (a.re === 0 && a.im === 0) return b.re > 0 ? { re: 0, im: 0 } : { re: Number.NaN, im: Number.NaN };
  if (a.im === 0 && a.re > 0 && b.im === 0) return { re: a.re ** b.re, im: 0 };
  return exponential(multiply(b, logarithm(a)));
}

function exponential({ re, im }: Complex): Complex {
  const size = Math.exp(re);
  return im === 0 ? { re: size, im: 0 } : { re: size * Math.cos(im), im: size * Math.sin(im) };
}

function logarithm({ re, im }: Complex): Complex {
  return { re: Math.log(Math.hypot(re, im)), im: Math.atan2(im === 0 ? 0 : im, re) };
}

function root(a: Complex): Complex {
  return a.im === 0 && a.re >= 0 ? { re: Math.sqrt(a.re), im: 0 } : power(a, { re: 0.5, im: 0 });
}

function sine({ re, im }: Complex): Complex {
  return im === 0 ? { re: Math.sin(re), im: 0 } : { re: Math.sin(re) * Math.cosh(im), im: Math.cos(re) * Math.sinh(im) };
}

function cosine({ re, im }: Complex): Complex {
  return im === 0 ? { re: Math.cos(re), im: 0 } : { re: Math.cos(re) * Math.cosh(im), im: -Math.sin(re) * Math.sinh(im) };
}

function arcsine(a: Complex): Complex {
  if (a.im === 0 && Math.abs(a.re) <= 1) return { re: Math.asin(a.re), im: 0 };
  const inner = plus(multiply(I, a), root(minus(ONE, multiply(a, a))));
  return multiply({ re: 0, im: -1 }, logarithm(inner));
}

function arctangent(a: Complex): Complex {
  if (a.im === 0) return { re: Math.atan(a.re), im: 0 };
  const ratio = minus(logarithm(minus(ONE, multiply(I, a))), logarithm(plus(ONE, multiply(I, a))));
  return multiply({ re: 0, im: 0.5 }, ratio);
}

function hyperbolic(a: Complex, sign: number): Complex {
  return times(plus(exponential(a), times(exponential(times(a, -1)), sign)), 0.5);
}

function real(change: (...values: number[]) => number): (args: readonly Complex[]) => Complex {
  return (args) =>
    args.every(({ im }) => Math.abs(im) < 1e-12)
      ? { re: change(...args.map(({ re }) => re)), im: 0 }
      : { re: Number.NaN, im: Number.NaN };
}

function logOf([value, base]: readonly Complex[]): Complex {
  return divide(logarithm(value), base === undefined ? { re: Math.LN10, im: 0 } : logarithm(base));
}

function gamma(n: number): number {
  if (!Number.isInteger(n) || n < 0 || n > 170) return Number.NaN;
  let out = 1;
  for (let k = 2; k <= n; k++) out *= k;
  return out;
}

function common(a: number, b: number): number {
  return b === 0 ? Math.abs(a) : common(b, a % b);
}

/** Functions by the names of the tree's calls. */
export const complexFunctions: Record<string, (args: readonly Complex[]) => Complex> = {
  sin: ([a]) => sine(a),
  cos: ([a]) => cosine(a),
  tan: ([a]) => divide(sine(a), cosine(a)),
  cot: ([a]) => divide(cosine(a), sine(a)),
  sec: ([a]) => divide(ONE, cosine(a)),
  csc: ([a]) => divide(ONE, sine(a)),
  arcsin: ([a]) => arcsine(a),
  arccos: ([a]) => minus({ re: Math.PI / 2, im: 0 }, arcsine(a)),
  arctan: ([a]) => arctangent(a),
  arccot: ([a]) => minus({ re: Math.PI / 2, im: 0 }, arctangent(a)),
  sinh: ([a]) => hyperbolic(a, -1),
  cosh: ([a]) => hyperbolic(a, 1),
  tanh: ([a]) => divide(hyperbolic(a, -1), hyperbolic(a, 1)),
  coth: ([a]) => divide(hyperbolic(a, 1), hyperbolic(a, -1)),
  sech: ([a]) => divide(ONE, hyperbolic(a, 1)),
  csch: ([a]) => divide(ONE, hyperbolic(a, -1)),
  asinh: real(Math.asinh),
  acosh: real(Math.acosh),
  atanh: real(Math.atanh),
  ln: (args) => (args.length > 1 ? logOf(args) : logarithm(args[0])),
  log: logOf,
  log10: logOf,
  exp: ([a]) => exponential(a),
  cbrt: ([a]) => (a.im === 0 ? { re: Math.cbrt(a.re), im: 0 } : power(a, { re: 1 / 3, im: 0 })),
  abs: ([a]) => ({ re: Math.hypot(a.re, a.im), im: 0 }),
  Re: ([a]) => ({ re: a.re, im: 0 }),
  Im: ([a]) => ({ re: a.im, im: 0 }),
  arg: ([a]) => ({ re: Math.atan2(a.im, a.re), im: 0 }),
  floor: real((a) => Math.floor(a)),
  ceil: real((a) => Math.ceil(a)),
  sgn: real((a) => Math.sign(a)),
  min: real(Math.min),
  max: real(Math.max),
  mod: real((a, b) => a - b * Math.floor(a / b)),
  gcd: real((...all) => (all.every(Number.isInteger) ? all.reduce(common) : Number.NaN)),
  factorial: real(gamma),
  binom: real((n, k) => gamma(n) / gamma(k) / gamma(n - k)),
};
