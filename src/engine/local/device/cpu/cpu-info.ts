// What processor this is, for the cache key of the compiled kernels, `doctor` and `bench`.

import { readFileSync } from "node:fs";
import { availableParallelism, cpus } from "node:os";

/** The processor as the operating system describes it. */
export interface CpuInfo {
  readonly model: string;
  /** Instruction set names as Linux lists them (avx2, avx512f, asimd, …); empty elsewhere. */
  readonly features: readonly string[];
  /** Threads this process may use. */
  readonly threads: number;
}

function linuxField(text: string, names: string[]): string {
  for (const name of names) {
    const match = text.match(new RegExp(`^${name}\\s*:\\s*(.*)$`, "m"));
    if (match) return match[1].trim();
  }
  return "";
}

/** Model name, instruction sets and usable threads of this machine. */
export function cpuInfo(): CpuInfo {
  let text = "";
  try {
    text = readFileSync("/proc/cpuinfo", "utf8");
  } catch {
    // Not Linux: the name alone must do.
  }
  const features = linuxField(text, ["flags", "Features"]).split(/\s+/).filter(Boolean);
  const family = ["cpu family", "model", "stepping", "CPU part"].map((name) => linuxField(text, [name])).filter(Boolean);
  const name = (cpus()[0]?.model ?? "").trim() || linuxField(text, ["model name", "CPU implementer"]) || process.arch;
  return { model: family.length ? `${name} (${family.join("/")})` : name, features, threads: availableParallelism() };
}
