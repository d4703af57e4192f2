// What the tests of the dashboard's page share: chromium where there is one, a small real run, and `rzero ui` as a process.

import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import { existsSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { type Browser, chromium, type Page } from "playwright-core";
import { smallArgs } from "./small-run.ts";

const root = dirname(dirname(dirname(fileURLToPath(import.meta.url))));
const main = join(root, "dist", "cli", "main.js");

/** The browser, or undefined: RZERO_CHROMIUM, else where systems put it. */
export function findChromium(): string | undefined {
  const known = ["chromium", "chromium-browser", "google-chrome", "google-chrome-stable"].map((name) => `/usr/bin/${name}`);
  return [process.env.RZERO_CHROMIUM ?? "", ...known].find((path) => path !== "" && existsSync(path));
}

/** Says why a test of the page does not run. */
export const WITHOUT_CHROMIUM =
  "skipped: no chromium in /usr/bin (Debian: apt-get install chromium; elsewhere set RZERO_CHROMIUM)";

/** A bound for what a page does at once, on a machine that does much else. */
export const SOON = { timeout: 20_000 };

/** Starts the browser without anything that asks the network. */
export async function openBrowser(executablePath: string): Promise<Browser> {
  const quiet = [
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
    "--disable-quic",
  ];
  return chromium.launch({ executablePath, headless: true, args: ["--no-sandbox", "--disable-gpu", ...quiet] });
}

/** What a page did that it must not: errors, policy violations, requests to elsewhere. Filled while the page lives. */
export function watchPage(page: Page, origin: string): string[] {
  const faults: string[] = [];
  page.on("pageerror", (error) => faults.push(`error: ${error.message}`));
  page.on("console", (message) => {
    // A server that is gone, and an answer of 404 or 503, are told by the browser as errors too.
    if (message.type() === "error" && !/Failed to load resource|ERR_/.test(message.text()))
      faults.push(`console: ${message.text()}`);
  });
  page.on("request", (request) => {
    if (!request.url().startsWith(origin) && !request.url().startsWith("blob:")) faults.push(`request: ${request.url()}`);
  });
  return faults;
}

/** A run of seconds, finished. Throws what the command said when it fails. */
export function makeRun(runs: string, name: string, extra: readonly string[] = []): void {
  const small = smallArgs("challenger.steps=2", "solver.steps=2");
  const { status, stderr } = spawnSync(process.execPath, [main, "run", "tiny", "--run", name, ...small, ...extra, "--json"], {
    env: { ...process.env, RZERO_RUNS: runs },
    encoding: "utf8",
  });
  if (status !== 0) throw new Error(`rzero run ended with ${status}: ${stderr}`);
}

/** A running `rzero ui`. */
export interface Ui {
  readonly url: string;
  readonly port: number;
  readonly stop: () => Promise<void>;
}

/** Starts `rzero ui` over a directory of runs; port 0 takes a free one. */
export async function startUi(runs: string, port = 0): Promise<Ui> {
  const child = spawn(process.execPath, [main, "ui", "--runs", runs, "--port", String(port)], {
    stdio: ["ignore", "pipe", "pipe"],
    env: { ...process.env, NO_COLOR: "1" },
  });
  const url = await addressOf(child);
  return {
    url,
    port: Number(new URL(url).port),
    stop: () =>
      new Promise((resolve) => {
        child.once("close", () => resolve());
        child.kill("SIGINT");
      }),
  };
}

/** The address that the command prints. */
function addressOf(child: ChildProcess): Promise<string> {
  return new Promise((resolve, reject) => {
    let said = "";
    const read = (chunk: Buffer) => {
      said += chunk;
      const found = /http:\/\/[\w.[\]:]+:\d+/.exec(said);
      if (found) resolve(found[0]);
    };
    child.stdout?.on("data", read);
    child.stderr?.on("data", read);
    child.once("close", (code) => reject(new Error(`rzero ui ended with ${code}: ${said}`)));
  });
}
