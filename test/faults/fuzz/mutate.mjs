// Seeded damage to files: bytes flipped, cut, spliced and repeated; numbers made huge, texts long, nesting deep, keys of prototypes,
// endless patterns and templates. One case is a function of (seed, target, index) alone. Knows no parser.

/** A small counter-based generator: xorshift on a hashed start. */
export function randomOf(seed, name, index) {
  let state = 0x9e3779b9 ^ seed;
  for (const character of `${name}/${index}`) state = Math.imul(state ^ character.charCodeAt(0), 0x85ebca6b) ^ (state >>> 13);
  state ^= Math.imul(index, 0xc2b2ae35);
  if (state === 0) state = 1;
  const next = () => {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    return state >>> 0;
  };
  for (let warm = 0; warm < 4; warm++) next();
  return {
    below: (count) => next() % count,
    chance: (share) => next() / 2 ** 32 < share,
    pick: (list) => list[next() % list.length],
  };
}

const NUMBERS = [
  0,
  -0,
  1,
  -1,
  2,
  3,
  7,
  255,
  256,
  65535,
  65536,
  2 ** 21 - 1,
  2 ** 21,
  2 ** 24,
  2 ** 30,
  2 ** 31 - 1,
  2 ** 31,
  2 ** 32,
  2 ** 32 - 1,
  2 ** 53 - 1,
  2 ** 53,
  2 ** 63,
  2 ** 64,
  1e308,
  -1e308,
  1e-308,
  0.1,
  0.5,
  -0.5,
  1e21,
  4e9,
];
const PATTERNS = [
  "(a+)+$",
  "(a|a)*b",
  "(.*)*x",
  "(\\s+)+$",
  "([\\s\\S]+)+\\d",
  "(\\w*)*=",
  "a*a*a*a*a*b",
  "(?:(?:a?){20}){20}b",
  "\\p{L}*\\p{L}*\\p{L}*!",
  "(?=(a+))a*b\\1",
  "[",
  "(",
  "(?<",
  "\\",
  "a{99999999}",
  "(?:a{1000}){1000}",
  "|".repeat(5000),
  "\\u{110000}",
  "(?i:a)",
  "",
  "^",
  "$",
  "(?!)",
];
const TEMPLATES = [
  "{% for i in range(1000000000) %}x{% endfor %}",
  "{% for i in range(3000) %}{% for j in range(3000) %}{% for k in range(3000) %}{% endfor %}{% endfor %}{% endfor %}",
  "{% set ns = namespace(a=[1]) %}{% for i in range(60) %}{% set ns.a = ns.a + ns.a %}{% endfor %}",
  "{% set ns = namespace(a='x') %}{% for i in range(60) %}{% set ns.a = ns.a ~ ns.a %}{% endfor %}{{ ns.a }}",
  "{% macro f(x) %}{{ f(x) }}{% endmacro %}{{ f(1) }}",
  "{{ messages | tojson(indent=100000000) }}",
  "{{ 'a' | indent(1000000000) }}",
  "{{ messages.constructor }}",
  "{{ messages.__proto__ }}",
  "{{ raise_exception('x') }}",
  `${"{{(".repeat(3000)}`,
  `${"{% if true %}".repeat(5000)}`,
  "{{ range(10**9) | list }}",
  "{{ 'a' * 1000000000 }}",
  `{{ ${"(".repeat(20000)} }}`,
  `{{ ${"not ".repeat(20000)} true }}`,
  `{{ ${"-".repeat(20000)}1 }}`,
  `{{ 1${"+1".repeat(30000)} }}`,
  "{% for m in messages %}{{ m.content.split('').__class__ }}{% endfor %}",
  "{{ messages[0].content | replace('', messages | tojson) }}",
  `{{ "${"a".repeat(50000)}" | replace("a", "${"b".repeat(20000)}") }}`,
  "{% generation %}",
  "{%",
  "{{",
  "{#",
  "{% for x in %}{% endfor %}",
];
const KEYS = [
  "__proto__",
  "constructor",
  "prototype",
  "toString",
  "hasOwnProperty",
  "length",
  "",
  "\u0000",
  "then",
  "toJSON",
  "valueOf",
];
const BYTES = [
  0, 1, 0x7f, 0x80, 0xff, 0xfe, 0xc0, 0xed, 0x0a, 0x0d, 0x22, 0x5b, 0x7b, 0x5d, 0x7d, 0x2c, 0x5c, 0x2d, 0x3a, 0x26, 0x2a, 0x21,
];

function deep(random) {
  const depth = random.pick([50, 199, 201, 2000, 50_000]);
  const [open, close] = random.pick([
    ["[", "]"],
    ['{"a":', "}"],
  ]);
  return open.repeat(depth) + "1" + close.repeat(depth);
}

function longText(random) {
  const unit = random.pick(["a", " ", "\n", "é", "\\", '"', "\u{1f600}", "\ud800", "ab ", "\t", "0", ",", "<|im_start|>", "<"]);
  return unit.repeat(random.pick([3, 100, 5000, 60_000]));
}

/** A value of any kind, hostile more often than not. */
function anyValue(random) {
  switch (random.below(10)) {
    case 0:
      return random.pick(NUMBERS);
    case 1:
      return longText(random);
    case 2:
      return random.pick(PATTERNS);
    case 3:
      return random.pick([
        null,
        true,
        false,
        "",
        [],
        {},
        [[]],
        [null],
        "NaN",
        "Infinity",
        "../../etc/passwd",
        "/etc/passwd",
        "a/../b",
      ]);
    case 4:
      return Object.fromEntries([
        [random.pick(KEYS), random.pick(NUMBERS)],
        ["a", null],
      ]);
    case 5:
      return Array.from({ length: random.pick([1, 2, 1000, 20_000]) }, (_, index) => index);
    case 6:
      return random.pick(TEMPLATES);
    case 7:
      return -random.below(2 ** 31);
    case 8:
      return {
        type: random.pick([
          "Split",
          "FixedLength",
          "Sequence",
          "Replace",
          "Unigram",
          "WordPiece",
          "Precompiled",
          "Strip",
          "CTC",
          "x",
        ]),
        pattern: { Regex: random.pick(PATTERNS) },
        behavior: random.pick(["Isolated", "Removed", "MergedWithNext", "x"]),
        length: random.pick(NUMBERS),
        content: longText(random),
        start: random.pick(NUMBERS),
        stop: random.pick(NUMBERS),
        invert: random.chance(0.5),
      };
    default:
      return random.below(1000);
  }
}

/** Places of a JSON tree: [parent, key]. */
function placesOf(tree) {
  const places = [];
  const waiting = [tree];
  while (waiting.length > 0 && places.length < 5000) {
    const node = waiting.pop();
    if (typeof node !== "object" || node === null) continue;
    for (const key of Object.keys(node)) {
      places.push([node, key]);
      waiting.push(node[key]);
    }
  }
  return places;
}

/** Damages a JSON value in one to four places; returns its text, now and then no JSON any more. */
export function mutateJson(value, random) {
  const root = { root: structuredClone(value) };
  for (let left = 1 + random.below(4); left > 0; left--) {
    const places = placesOf(root);
    if (places.length === 0) break;
    const [parent, key] = random.chance(0.5)
      ? random.pick(places)
      : (places.findLast(([, name]) => random.chance(0.02) && name !== "root") ?? random.pick(places));
    const change = random.below(8);
    if (change === 0) delete parent[key];
    else if (change === 1 && !Array.isArray(parent))
      Object.defineProperty(parent, random.pick(KEYS), {
        value: anyValue(random),
        enumerable: true,
        configurable: true,
        writable: true,
      });
    else if (change === 2) parent[key] = structuredClone(random.pick(places)[0]);
    else if (change === 3 && typeof parent[key] === "string") parent[key] = damageText(parent[key], random);
    else if (change === 4 && typeof parent[key] === "number")
      parent[key] = random.chance(0.5) ? parent[key] + random.below(5) - 2 : random.pick(NUMBERS);
    else parent[key] = anyValue(random);
  }
  let text = JSON.stringify(root.root) ?? "";
  if (random.chance(0.06))
    text = text.replace(/\d+/, () => random.pick(["1e999", "-0", "9".repeat(400), "0x10", "01", "1e-999"]));
  if (random.chance(0.05)) text = text.replace(/null|true|\[\]|\{\}|\d+/, () => deep(random));
  return random.chance(0.1) ? mutateBytes(Buffer.from(text), random) : Buffer.from(text);
}

function damageText(text, random) {
  const at = random.below(text.length + 1);
  const change = random.below(5);
  if (change === 0) return text.slice(0, at);
  if (change === 1) return text.slice(0, at) + longText(random) + text.slice(at);
  if (change === 2) return text.slice(0, at) + random.pick(PATTERNS) + text.slice(at);
  if (change === 3) return text.slice(at) + text.slice(0, at);
  return text.slice(0, at) + String.fromCharCode(random.below(65536)) + text.slice(at + 1);
}

/** Damages bytes: flips, cuts, splices, repeats, huge numbers, a pattern or a template in the middle. */
export function mutateBytes(bytes, random) {
  let out = Buffer.from(bytes);
  for (let left = 1 + random.below(4); left > 0; left--) {
    const at = random.below(out.length + 1);
    const to = at + random.below(Math.min(64, out.length - at + 1));
    switch (random.below(9)) {
      case 0:
        if (at < out.length) out[at] ^= 1 << random.below(8);
        break;
      case 1:
        if (at < out.length) out[at] = random.pick(BYTES);
        break;
      case 2:
        out = out.subarray(0, at);
        break;
      case 3:
        out = Buffer.concat([out.subarray(0, at), out.subarray(to)]);
        break;
      case 4:
        out = Buffer.concat([out.subarray(0, at), bytes.subarray(random.below(bytes.length + 1)), out.subarray(to)]).subarray(
          0,
          1 << 20,
        );
        break;
      case 5:
        out = Buffer.concat([
          out.subarray(0, to),
          ...Array(random.pick([1, 8, 300])).fill(out.subarray(at, to)),
          out.subarray(to),
        ]).subarray(0, 1 << 20);
        break;
      case 6:
        for (let i = 0; i < 8 && at + i < out.length; i++) out[at + i] = random.pick([0, 0xff, random.below(256)]);
        break;
      case 7:
        out = Buffer.concat([out.subarray(0, at), Buffer.from(String(random.pick(NUMBERS))), out.subarray(to)]);
        break;
      default: {
        const text = random.pick([
          random.pick(PATTERNS),
          random.pick(TEMPLATES),
          deep(random),
          longText(random),
          "\ufeff",
          "&a [*a,*a]",
          "\r",
          '""',
        ]);
        out = Buffer.concat([out.subarray(0, at), Buffer.from(text), out.subarray(at)]);
      }
    }
  }
  return Buffer.from(out.subarray(0, 1 << 20));
}

/** Damages the lines of a text: one of them as JSON, or their order and ends. */
export function mutateLines(bytes, random) {
  if (random.chance(0.3)) return mutateBytes(bytes, random);
  const lines = bytes.toString("utf8").split("\n");
  const at = random.below(lines.length);
  const change = random.below(5);
  if (change === 0) lines.splice(at, 1);
  else if (change === 1) lines.splice(at, 0, lines[random.below(lines.length)]);
  else if (change === 2) lines[at] = deep(random);
  else {
    try {
      lines[at] = mutateJson(JSON.parse(lines[at]), random).toString("utf8");
    } catch {
      lines[at] = longText(random);
    }
  }
  return Buffer.from(lines.join(random.chance(0.05) ? "\r\n" : "\n"));
}

/** Damages a safetensors file: its header as JSON (the length kept right or not), or its bytes. */
export function mutateSafetensors(bytes, random) {
  if (random.chance(0.3)) return mutateBytes(bytes, random);
  const length = Number(bytes.readBigUInt64LE(0));
  const header = mutateJson(JSON.parse(bytes.toString("utf8", 8, 8 + length)), random);
  const prefix = Buffer.alloc(8);
  const claimed = random.chance(0.85)
    ? BigInt(header.length)
    : random.pick([0n, 1n, 2n ** 64n - 1n, 2n ** 63n, 100_000_000n, BigInt(header.length + 1)]);
  prefix.writeBigUInt64LE(claimed);
  const data = bytes.subarray(8 + length);
  return Buffer.concat([prefix, header, random.chance(0.8) ? data : data.subarray(0, random.below(data.length + 1))]);
}

/** Damages a template or pattern file: a hostile one, or the text itself. */
export function mutateTemplate(bytes, random) {
  if (random.chance(0.3)) return Buffer.from(random.pick(TEMPLATES) + (random.chance(0.5) ? bytes.toString("utf8") : ""));
  return random.chance(0.5) ? mutateBytes(bytes, random) : Buffer.from(damageText(bytes.toString("utf8"), random));
}
