// Makes docs/images/*.png: runs the tiny recipe twice (short), serves the runs with `rzero ui`, and takes pictures of the page with chromium.
// npm run screenshots [-- --runs DIR]: takes runs that are there instead of making them.

import { spawn, spawnSync } from "node:child_process";
import { existsSync, mkdirSync, mkdtempSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { chromium } from "playwright-core";

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const main = join(root, "dist", "cli", "main.js");
const images = join(root, "docs", "images");
const MAX_BYTES = 150_000;
const SHORT = [
  "--iterations=3",
  "--challenger.steps=8",
  "--solver.steps=8",
  "--curriculum.poolSize=600",
  "--evaluation.samples=4",
];

/** What is pictured: file, place, theme, size, and what to wait for or do first. */
const PICTURES = [
  { file: "runs.png", place: "", ready: "tbody tr" },
  { file: "run.png", place: "#/run/tiny-001", ready: ".chart-plot canvas", width: 1000, height: 1120 },
  { file: "run-dark.png", place: "#/run/tiny-001", ready: ".chart-plot canvas", theme: "dark", width: 900, height: 1080 },
  { file: "questions.png", place: "#/run/tiny-001/questions?source=pool&iteration=3", ready: ".grid-window .vote-bar" },
  {
    file: "question.png",
    place: "#/run/tiny-001/questions?trained=yes&source=pool&label=wrong",
    first: ".grid-window a",
    ready: ".token",
    height: 1000,
  },
  { file: "matrix.png", place: "#/run/tiny-001/matrix", ready: ".heat td strong", width: 760, height: 680 },
  { file: "diversity.png", place: "#/run/tiny-001/diversity", ready: ".map-canvas", height: 900 },
  { file: "health.png", place: "#/run/tiny-001/health", ready: ".chart-plot canvas", height: 640 },
  { file: "phone.png", place: "#/run/tiny-001/questions", ready: ".grid-window .vote-bar", width: 360, height: 720 },
];

const { values } = parseArgs({ options: { runs: { type: "string" } } });
const executablePath = [process.env.RZERO_CHROMIUM, "/usr/bin/chromium", "/usr/bin/chromium-browser"].find(
  (path) => path && existsSync(path),
);
if (!executablePath) {
  console.error("screenshots: expected chromium in /usr/bin, got none. Install it or set RZERO_CHROMIUM.");
  process.exit(1);
}
const scratch = mkdtempSync(join(tmpdir(), "rzero-screenshots-"));
const runs = values.runs ?? scratch;
if (!values.runs) {
  for (const seed of [1, 2]) rzero("run", "tiny", `--seed=${seed}`, ...SHORT);
  rzero("inspect", "tiny-001", "--matrix");
}
mkdirSync(images, { recursive: true });
const server = spawn(process.execPath, [main, "ui", "--runs", runs, "--port", "0"], { stdio: ["ignore", "inherit", "pipe"] });
const browser = await chromium.launch({
  executablePath,
  args: ["--no-sandbox", "--disable-gpu", "--disable-background-networking"],
});
try {
  const address = await new Promise((resolve) => {
    server.stderr.on("data", (chunk) => {
      const found = /http:\/\/[\w.[\]:]+:\d+/.exec(String(chunk));
      if (found) resolve(found[0]);
    });
  });
  for (const picture of PICTURES) await take(address, picture);
} finally {
  await browser.close();
  server.kill("SIGINT");
  rmSync(scratch, { recursive: true, force: true });
}

function rzero(...args) {
  const { status } = spawnSync(process.execPath, [main, ...args, "--runs", runs], { stdio: ["ignore", "ignore", "inherit"] });
  if (status !== 0) process.exit(1);
}

async function take(address, { file, place, ready, first, theme = "light", width = 1160, height = 720 }) {
  const page = await browser.newPage({ viewport: { width, height }, colorScheme: theme });
  await page.goto(`${address}/${place}`);
  if (first) await page.locator(first).first().click();
  await page.locator(ready).first().waitFor();
  // Fonts, and the charts' first drawing.
  await page.evaluate(() => document.fonts.ready);
  await page.waitForTimeout(300);
  const path = join(images, file);
  await page.screenshot({ path });
  await page.close();
  const { size } = statSync(path);
  console.log(`${file}: ${Math.round(size / 1000)} kB`);
  if (size > MAX_BYTES) throw new Error(`${file}: expected at most ${MAX_BYTES} bytes, got ${size}.`);
}
