// What every plot shares: colours of a light and a dark page, escaping, scales and ticks. A plot paints its own background, so that it is
// legible on a page whose theme is not the viewer's. Pure text; knows no data. Colours are told apart by lightness too.

/** Light and dark of one colour. */
const COLOURS: Readonly<Record<string, readonly [light: string, dark: string]>> = {
  background: ["#ffffff", "#0d1117"],
  text: ["#1f2328", "#e6edf3"],
  muted: ["#59636e", "#9198a1"],
  grid: ["#d8dee4", "#30363d"],
  s0: ["#0550ae", "#79c0ff"],
  s1: ["#bc4c00", "#ffa657"],
  s2: ["#116329", "#56d364"],
  s3: ["#8250df", "#d2a8ff"],
  s4: ["#a40e26", "#ff7b72"],
  s5: ["#0a7280", "#39c5cf"],
  s6: ["#99286e", "#f778ba"],
  s7: ["#59636e", "#9198a1"],
};

/** Number of colours that tell series apart; a further series takes the first again. */
export const SERIES_COLOURS = 8;

function declare(theme: 0 | 1): string {
  return Object.entries(COLOURS)
    .map(([name, pair]) => `--${name}:${pair[theme]}`)
    .join(";");
}

const STYLE = `:root{${declare(0)}}@media (prefers-color-scheme:dark){:root{${declare(1)}}}text{font:12px system-ui,sans-serif;fill:var(--text)}`;

/** A whole SVG document around `content`; the title is also what a screen reader says. Sizes in pixels. */
export function svgDocument(options: { title: string; width: number; height: number; content: readonly string[] }): string {
  const { title, width, height, content } = options;
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${height}" width="${width}" height="${height}" role="img" aria-label="${escapeXml(title)}">`,
    `<title>${escapeXml(title)}</title><style>${STYLE}</style>`,
    `<rect width="${width}" height="${height}" fill="var(--background)"/>`,
    label({ x: 16, y: 24, text: title, bold: true }),
    ...content,
    "</svg>\n",
  ].join("\n");
}

/** The colour of series `index`, as an SVG paint. */
export function seriesColour(index: number): string {
  return `var(--s${index % SERIES_COLOURS})`;
}

/** One line of text. `rotate` is in degrees around its place. */
export function label(options: {
  x: number;
  y: number;
  text: string;
  anchor?: "start" | "middle" | "end";
  muted?: boolean;
  bold?: boolean;
  rotate?: number;
}): string {
  const { x, y, text, anchor = "start", muted = false, bold = false, rotate } = options;
  const style = [muted ? "fill:var(--muted)" : "", bold ? "font-weight:600" : ""].filter(Boolean).join(";");
  const turned = rotate === undefined ? "" : ` transform="rotate(${rotate} ${round(x)} ${round(y)})"`;
  return `<text x="${round(x)}" y="${round(y)}" text-anchor="${anchor}"${style === "" ? "" : ` style="${style}"`}${turned}>${escapeXml(text)}</text>`;
}

/** A straight line; `colour` is an SVG paint. */
export function rule(x1: number, y1: number, x2: number, y2: number, colour = "var(--grid)", dash = ""): string {
  const dashed = dash === "" ? "" : ` stroke-dasharray="${dash}"`;
  return `<line x1="${round(x1)}" y1="${round(y1)}" x2="${round(x2)}" y2="${round(y2)}" stroke="${colour}"${dashed}/>`;
}

/** Text for an attribute or an element. */
export function escapeXml(text: string): string {
  return text.replace(/&/g, "&amp;").replace(/</g, "&lt;").replace(/>/g, "&gt;").replace(/"/g, "&quot;");
}

/** A coordinate with two decimals, which no screen tells from more. */
export function round(value: number): string {
  return String(Math.round(value * 100) / 100);
}

/** Maps `domain` linearly to `range`. */
export function linearScale(
  [from, to]: readonly [number, number],
  [low, high]: readonly [number, number],
): (value: number) => number {
  const span = to - from || 1;
  return (value) => low + ((value - from) / span) * (high - low);
}

/** Round values that cover [low, high] in about `count` steps of 1, 2 or 5 times a power of ten; the ends lie outside or on it. */
export function niceTicks(low: number, high: number, count = 6): number[] {
  const span = high - low || Math.abs(high) || 1;
  const raw = span / count;
  const power = 10 ** Math.floor(Math.log10(raw));
  const step = power * ([1, 2, 5, 10].find((factor) => factor * power >= raw * 0.999) ?? 10);
  const first = Math.floor(low / step + 1e-9);
  const last = Math.max(first + 1, Math.ceil(high / step - 1e-9));
  return Array.from({ length: last - first + 1 }, (_, index) => Number(((first + index) * step).toPrecision(12)));
}
