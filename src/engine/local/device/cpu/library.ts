// Compiles native/*.c on first use into a cache and returns the shared library's path. Knows nothing of what the C code does.
// The cache key covers sources, flags, compiler and CPU, so a moved cache or an upgraded compiler can never load wrong code.

import { spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import { existsSync, mkdirSync, readdirSync, readFileSync, renameSync, rmSync } from "node:fs";
import { homedir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { EngineError } from "../../../../util/errors.ts";
import { cpuInfo } from "./cpu-info.ts";

const FLAGS = [
  "-std=gnu11",
  "-O3",
  process.arch === "arm64" ? "-mcpu=native" : "-march=native",
  "-ffp-contract=off", // products are fused where the source says so, see native/simd.h
  "-fno-math-errno",
  "-fvisibility=hidden",
  "-Wno-psabi",
  "-shared",
  "-fPIC",
  "-pthread",
  // A worker's exit unloads libraries; code that sleeping pool threads stand in must stay mapped.
  ...(process.platform === "linux" ? ["-Wl,-z,nodelete"] : []),
];

/** `native/` of this package, from src/ as from dist/. Errors: EngineError when the package lacks it. */
export function nativeFolder(): string {
  let folder = dirname(fileURLToPath(import.meta.url));
  while (!existsSync(join(folder, "native", "rzero.h"))) {
    const parent = dirname(folder);
    if (parent === folder)
      throw new EngineError("native/: expected the C sources beside the package, got none. Reinstall rzero.");
    folder = parent;
  }
  return join(folder, "native");
}

/** Where compiled libraries are kept: $RZERO_CACHE, $XDG_CACHE_HOME/rzero or ~/.cache/rzero. */
export function cacheFolder(environment: NodeJS.ProcessEnv = process.env): string {
  if (environment.RZERO_CACHE) return environment.RZERO_CACHE;
  return join(environment.XDG_CACHE_HOME || join(homedir(), ".cache"), "rzero");
}

function compilerVersion(compiler: string): string {
  const result = spawnSync(compiler, ["--version"], { encoding: "utf8" });
  if (result.error || result.status !== 0) {
    throw new EngineError(
      `${compiler}: expected a C compiler on the PATH, got none. Install gcc or clang (Debian: apt install gcc) or set CC.`,
      { cause: result.error },
    );
  }
  return result.stdout;
}

function compile(compiler: string, sources: string[], target: string): void {
  mkdirSync(dirname(target), { recursive: true });
  // Written beside and renamed: another process may be compiling the same library.
  const temporary = `${target}.${process.pid}.${Date.now()}.tmp`;
  const result = spawnSync(compiler, [...FLAGS, ...sources, "-o", temporary, "-lm"], { encoding: "utf8" });
  if (result.error || result.status !== 0) {
    rmSync(temporary, { force: true });
    const lines = `${result.stderr ?? ""}`.trim().split("\n").slice(0, 6).join("\n  ");
    throw new EngineError(`${compiler}: expected native/*.c to compile, got exit code ${result.status}.\n  ${lines}`, {
      cause: result.error,
    });
  }
  renameSync(temporary, target);
}

/**
 * Path of the compiled kernels, compiling them (seconds) when the cache has none.
 * Errors: EngineError without a working C compiler.
 */
export function libraryPath(environment: NodeJS.ProcessEnv = process.env): string {
  const compiler = environment.CC || "cc";
  const folder = nativeFolder();
  const names = readdirSync(folder).filter((name) => /\.[ch]$/.test(name));
  const hash = createHash("sha256");
  for (const name of names.sort()) hash.update(`${name}\0`).update(readFileSync(join(folder, name)));
  const { model, features } = cpuInfo();
  hash.update(JSON.stringify([FLAGS, compiler, compilerVersion(compiler), process.platform, process.arch, model, features]));
  const target = join(cacheFolder(environment), `kernels-${hash.digest("hex").slice(0, 32)}.so`);
  const sources = names.filter((name) => name.endsWith(".c")).map((name) => join(folder, name));
  if (!existsSync(target)) compile(compiler, sources, target);
  return target;
}
