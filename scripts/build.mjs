// Compiles src/ to dist/ with plain tsc, and the page of `rzero ui` with vite beside it. Runs on `npm install` (the prepare step) and
// from setup.mjs.

import { spawn } from "node:child_process";
import { chmodSync, existsSync, utimesSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { buildPage } from "./build-page.mjs";

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const tsc = join(root, "node_modules", "typescript", "bin", "tsc");
if (!existsSync(tsc)) {
  // A packed install has dist/ already and no compiler; a checkout without node_modules runs npm install first.
  process.exit(existsSync(join(root, "dist")) ? 0 : 1);
}
const compiled = new Promise((resolve) => {
  // What has not changed is not checked again; the record lies in dist/, so that it goes when dist/ goes.
  const again = ["--incremental", "--tsBuildInfoFile", join(root, "dist", ".tsbuildinfo")];
  spawn(process.execPath, [tsc, "-p", join(root, "tsconfig.json"), ...again], { stdio: "inherit" }).on("close", resolve);
});
const built = await buildPage(root);
const code = await compiled;
if (code !== 0 || !built) process.exit(code || 1);
const binary = join(root, "dist", "cli", "main.js");
if (existsSync(binary)) {
  chmodSync(binary, 0o755);
  // Its age says how old the build is, also when it did not change itself.
  utimesSync(binary, new Date(), new Date());
}
