// Set-up for `npm start` and `npm test` on a fresh clone: installs what is missing, rebuilds what changed.

import { spawnSync } from "node:child_process";
import { existsSync, readdirSync, statSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

const root = dirname(dirname(fileURLToPath(import.meta.url)));

const [major] = process.versions.node.split(".").map(Number);
if (major < 20) {
  console.error(`setup: expected Node 20 or newer, got ${process.versions.node}. Install a current Node from nodejs.org.`);
  process.exit(2);
}

function newestTime(path) {
  const stat = statSync(path);
  if (!stat.isDirectory()) return stat.mtimeMs;
  return Math.max(stat.mtimeMs, ...readdirSync(path).map((name) => newestTime(join(path, name))));
}

function run(command, args) {
  const result = spawnSync(command, args, {
    cwd: root,
    stdio: ["ignore", process.stderr, "inherit"],
    shell: process.platform === "win32",
  });
  if (result.status !== 0) {
    console.error(`setup: ${command} ${args.join(" ")} failed with exit code ${result.status ?? result.signal}.`);
    process.exit(1);
  }
}

// npm writes this file last, so its age says whether the install is complete and current.
const installed = join(root, "node_modules", ".package-lock.json");
const lock = join(root, "package-lock.json");
if (!existsSync(installed) || statSync(installed).mtimeMs < statSync(lock).mtimeMs) {
  console.error("setup: installing packages (npm ci)");
  run("npm", ["ci", "--no-audit", "--no-fund"]);
}
const built = join(root, "dist", "cli", "main.js");
if (!existsSync(built) || statSync(built).mtimeMs < newestTime(join(root, "src"))) {
  console.error("setup: compiling TypeScript");
  run(process.execPath, [join(root, "scripts", "build.mjs")]);
}
