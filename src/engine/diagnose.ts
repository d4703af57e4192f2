// What the local engine needs of this machine and whether it is there, as findings for `rzero doctor`.
// Each finding says what to do when it is not. Opens no model.

import { spawnSync } from "node:child_process";
import { errorText } from "../util/errors.ts";
import { formatDuration } from "../util/format.ts";
import { cpuInfo } from "./local/device/cpu/cpu-info.ts";
import { createCpuDevice, measurePeaks } from "./local/device/cpu/device.ts";
import { cacheFolder, libraryPath } from "./local/device/cpu/library.ts";

/** One thing that was looked at. */
export interface Finding {
  readonly name: string;
  readonly ok: boolean;
  /** What was found. */
  readonly detail: string;
  /** What to do, when it is not ok. */
  readonly hint?: string;
}

/** Looks at CPU, compiler, kernels and their speed. Never throws. */
export function diagnoseLocalEngine(): Finding[] {
  return [cpuFinding(), compilerFinding(), kernelFinding(), speedFinding()];
}

/** Where the compiled kernels are kept. */
export function kernelCache(): string {
  return cacheFolder();
}

function cpuFinding(): Finding {
  const { model, features, threads } = cpuInfo();
  const wide = ["avx512f", "avx2", "asimd"].filter((name) => features.includes(name));
  const detail = `${model}, ${threads} ${threads === 1 ? "thread" : "threads"}, vectors: ${wide.join(", ") || "none known"}`;
  const ok = wide.length > 0 || features.length === 0;
  return ok
    ? { name: "cpu", ok, detail }
    : { name: "cpu", ok, detail, hint: "Kernels will be slow: use a CPU with AVX2, AVX-512 or NEON." };
}

function compilerFinding(): Finding {
  const compiler = process.env.CC || "cc";
  const result = spawnSync(compiler, ["--version"], { encoding: "utf8" });
  if (result.status === 0) return { name: "compiler", ok: true, detail: `${compiler}: ${result.stdout.split("\n")[0]}` };
  return {
    name: "compiler",
    ok: false,
    detail: `${compiler}: not found`,
    hint: "Install gcc or clang (Debian: apt install gcc; macOS: xcode-select --install), or set CC.",
  };
}

function kernelFinding(): Finding {
  return attempt("kernels", "Read the compiler's message above; a newer gcc or clang usually helps.", () => {
    const started = performance.now();
    const path = libraryPath();
    const device = createCpuDevice({ threads: 1 });
    device.dispose();
    return `compiled and loaded in ${formatDuration((performance.now() - started) / 1000)}: ${path}`;
  });
}

function speedFinding(): Finding {
  return attempt("speed", "Fix the kernels first.", () => {
    const { threads } = cpuInfo();
    const { f32, bf16, memoryGBs } = measurePeaks({ threads });
    const peaks = `${f32.toFixed(0)} GFLOP/s in f32${bf16 === undefined ? "" : `, ${bf16.toFixed(0)} in bf16`}`;
    return `peaks on ${threads} ${threads === 1 ? "thread" : "threads"}: ${peaks}; memory ${memoryGBs.toFixed(0)} GB/s`;
  });
}

function attempt(name: string, hint: string, look: () => string): Finding {
  try {
    return { name, ok: true, detail: look() };
  } catch (error) {
    return { name, ok: false, detail: errorText(error), hint };
  }
}
