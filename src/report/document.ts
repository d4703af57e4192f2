// A report as blocks, and the two forms it is written in: one self-contained HTML page (plots inside, no script, nothing loaded from
// elsewhere) and Markdown (plots as files beside it). Text from models is text in both. Knows nothing of runs.

import type { Table } from "./run-tables.ts";
import { escapeXml } from "./svg/frame.ts";

/** A piece of a report, in reading order. */
export type Block =
  | { readonly kind: "heading"; readonly text: string }
  | { readonly kind: "paragraph"; readonly text: string }
  | { readonly kind: "list"; readonly items: readonly string[] }
  | { readonly kind: "table"; readonly table: Table }
  /** A plot as an SVG document; `name` is a file name without ending. */
  | { readonly kind: "plot"; readonly svg: string; readonly name: string; readonly alt: string }
  /** Long text that is folded away. */
  | { readonly kind: "details"; readonly summary: string; readonly text: string };

export interface ReportDocument {
  readonly title: string;
  readonly blocks: readonly Block[];
}

const STYLE = `:root{color-scheme:light dark;--paper:#fff;--ink:#1f2328;--soft:#59636e;--line:#d8dee4}
@media (prefers-color-scheme:dark){:root{--paper:#0d1117;--ink:#e6edf3;--soft:#9198a1;--line:#30363d}}
body{font:15px/1.5 system-ui,sans-serif;max-width:64rem;margin:2rem auto;padding:0 1rem;background:var(--paper);color:var(--ink)}
h1{font-size:1.6rem}h2{font-size:1.2rem;margin-top:2.2rem;border-bottom:1px solid var(--line)}
.scroll{overflow-x:auto}table{border-collapse:collapse;font-variant-numeric:tabular-nums;font-size:.9rem}
caption{text-align:left;color:var(--soft);padding:.4rem 0}th,td{padding:.2rem .7rem;border-bottom:1px solid var(--line);text-align:right;white-space:nowrap}
th:first-child,td:first-child{text-align:left}.words{text-align:left}td.words{white-space:normal;overflow-wrap:anywhere}
svg{max-width:100%;height:auto}pre{overflow-x:auto;font-size:.85rem}@media print{body{max-width:none}}`;

/** The page; its policy forbids scripts and every request. */
export function renderHtml({ title, blocks }: ReportDocument): string {
  return `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
<title>${escapeXml(title)}</title>
<style>${STYLE}</style>
</head>
<body>
<main>
<h1>${escapeXml(title)}</h1>
${blocks.map(blockHtml).join("\n")}
</main>
</body>
</html>
`;
}

function blockHtml(block: Block): string {
  switch (block.kind) {
    case "heading":
      return `<h2>${escapeXml(block.text)}</h2>`;
    case "paragraph":
      return `<p>${escapeXml(block.text)}</p>`;
    case "list":
      return `<ul>${block.items.map((item) => `<li>${escapeXml(item)}</li>`).join("")}</ul>`;
    case "table":
      return tableHtml(block.table);
    case "plot":
      return `<figure class="scroll">${block.svg}</figure>`;
    case "details":
      return `<details><summary>${escapeXml(block.summary)}</summary><pre>${escapeXml(block.text)}</pre></details>`;
  }
}

function tableHtml({ heading, header, rows, words = [] }: Table): string {
  const side = (column: number) => (words.includes(column) ? ' class="words"' : "");
  const head = header.map((cell, column) => `<th scope="col"${side(column)}>${escapeXml(cell)}</th>`).join("");
  const cell = (text: string, column: number) =>
    column === 0 ? `<th scope="row">${escapeXml(text)}</th>` : `<td${side(column)}>${escapeXml(text)}</td>`;
  const body = rows.map((row) => `<tr>${row.map(cell).join("")}</tr>`).join("\n");
  return `<div class="scroll"><table><caption>${escapeXml(heading)}</caption><thead><tr>${head}</tr></thead><tbody>\n${body}\n</tbody></table></div>`;
}

/** Markdown, plots as images named `folder/name.svg`. */
export function renderMarkdown({ title, blocks }: ReportDocument, folder: string): string {
  return `${[`# ${escapeMarkdown(title)}`, ...blocks.map((block) => blockMarkdown(block, folder))].join("\n\n")}\n`;
}

function blockMarkdown(block: Block, folder: string): string {
  switch (block.kind) {
    case "heading":
      return `## ${escapeMarkdown(block.text)}`;
    case "paragraph":
      return escapeMarkdown(block.text);
    case "list":
      return block.items.map((item) => `- ${escapeMarkdown(item)}`).join("\n");
    case "table":
      return tableMarkdown(block.table);
    case "plot":
      return `![${escapeMarkdown(block.alt)}](<${folder}/${block.name}.svg>)`;
    case "details":
      return `<details><summary>${escapeXml(block.summary)}</summary>\n\n${fenced(block.text)}\n\n</details>`;
  }
}

function tableMarkdown({ heading, header, rows, words = [] }: Table): string {
  const line = (cells: readonly string[]) => `| ${cells.map(escapeMarkdown).join(" | ")} |`;
  const rule = `|${header.map((_, column) => (column === 0 || words.includes(column) ? "---" : "---:")).join("|")}|`;
  return [escapeMarkdown(heading), "", line(header), rule, ...rows.map(line)].join("\n");
}

/** Text that is text wherever Markdown or HTML would see a mark. */
function escapeMarkdown(text: string): string {
  return text
    .replace(/[\\`*_{}[\]<>|$~#&]/g, (mark) => `\\${mark}`)
    .replace(/\s*\n\s*/g, " ")
    .replace(/^(\s*)([-+]|\d+\.)(\s)/, "$1\\$2$3");
}

/** A code block whose fence is longer than any in the text. */
function fenced(text: string): string {
  const longest = Math.max(2, ...[...text.matchAll(/`+/g)].map(([run]) => run.length));
  const fence = "`".repeat(longest + 1);
  return `${fence}yaml\n${text.trimEnd()}\n${fence}`;
}
