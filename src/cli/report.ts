// `rzero report`: a run as one self-contained page, or as Markdown with its plots beside it.

import { basename, dirname, extname, join, resolve } from "node:path";
import { Command } from "commander";
import { renderHtml, renderMarkdown } from "../report/document.ts";
import { runReport } from "../report/run-report.ts";
import { runsRoot } from "../store/layout.ts";
import { openRun } from "../store/runs.ts";
import { ConfigError } from "../util/errors.ts";
import { makeDirectory, writeFileAtomic } from "../util/files.ts";
import { print, printJson } from "./output.ts";

interface ReportOptions {
  out?: string;
  runs?: string;
  json?: boolean;
}

export function reportCommand(): Command {
  return new Command("report")
    .description("one self-contained page about a run, to mail or to attach to a paper; or Markdown")
    .argument("<run>", "name of the run; it may still be going")
    .option("--out <file>", "FILE.html or FILE.md, whose plots go to FILE-plots/ (default: RUN.html)")
    .option("--runs <dir>", "where runs live (default: RZERO_RUNS or ./runs)")
    .option("--json", "print what was written")
    .addHelpText("after", "\nExamples:\n  rzero report tiny-001\n  rzero report tiny-001 --out report.md")
    .action(report);
}

function report(name: string, options: ReportOptions): void {
  const run = openRun(runsRoot(options.runs), name);
  const out = resolve(options.out ?? `${run.name}.html`);
  const ending = extname(out).toLowerCase();
  if (![".html", ".htm", ".md"].includes(ending))
    throw new ConfigError(`--out: expected a name that ends with .html or .md, got ${options.out}.`);
  const document = runReport(run);
  makeDirectory(dirname(out));
  const written = [out];
  if (ending !== ".md") writeFileAtomic(out, renderHtml(document));
  else {
    const folder = `${basename(out, extname(out))}-plots`;
    makeDirectory(join(dirname(out), folder));
    for (const block of document.blocks) {
      if (block.kind !== "plot") continue;
      const file = join(dirname(out), folder, `${block.name}.svg`);
      writeFileAtomic(file, block.svg);
      written.push(file);
    }
    writeFileAtomic(out, renderMarkdown(document, folder));
  }
  if (options.json) printJson({ run: run.name, written });
  else print(written[0]);
}
