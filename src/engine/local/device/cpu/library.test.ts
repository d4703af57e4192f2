import { mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, expect, it } from "vitest";
import { cpuInfo } from "./cpu-info.ts";
import { cacheFolder, libraryPath, nativeFolder } from "./library.ts";

const folder = mkdtempSync(join(tmpdir(), "rzero-library-"));
afterAll(() => rmSync(folder, { recursive: true }));

it("the cache follows RZERO_CACHE, then XDG_CACHE_HOME, then the home folder", () => {
  expect(cacheFolder({ RZERO_CACHE: "/a", XDG_CACHE_HOME: "/b" })).toBe("/a");
  expect(cacheFolder({ XDG_CACHE_HOME: "/b" })).toBe(join("/b", "rzero"));
  expect(cacheFolder({})).toMatch(/\.cache[/\\]rzero$/);
});

it("a missing compiler names what to install", () => {
  expect(() => libraryPath({ CC: "no-such-cc", RZERO_CACHE: folder })).toThrow(
    "no-such-cc: expected a C compiler on the PATH, got none. Install gcc or clang (Debian: apt install gcc) or set CC.",
  );
});

it("a failing compiler shows what it said and leaves nothing behind", () => {
  const compiler = join(folder, "broken-cc");
  writeFileSync(
    compiler,
    "#!/bin/sh\n[ $1 = --version ] && echo broken 1.0 && exit 0\necho rzero.h:1: no such luck >&2\nexit 3\n",
    { mode: 0o755 },
  );
  const cache = join(folder, "cache");
  expect(() => libraryPath({ CC: compiler, RZERO_CACHE: cache })).toThrow(
    /to compile, got exit code 3\.\n {2}rzero\.h:1: no such luck/,
  );
  expect(readdirSync(cache)).toEqual([]);
});

it("compiles once: the second call finds the library in the cache", () => {
  const compiler = join(folder, "counting-cc");
  const log = join(folder, "log");
  const script = `#!/bin/sh\nfor last; do :; done\n[ "$last" = --version ] && echo counting 1.0 && exit 0\necho run >> ${log}\nwhile [ "$1" != -o ]; do shift; done\necho library > "$2"\n`;
  writeFileSync(compiler, script, { mode: 0o755 });
  const cache = join(folder, "once");
  const path = libraryPath({ CC: compiler, RZERO_CACHE: cache });
  expect(libraryPath({ CC: compiler, RZERO_CACHE: cache })).toBe(path);
  expect(readdirSync(cache)).toHaveLength(1);
  expect(libraryPath({ CC: compiler, RZERO_CACHE: join(folder, "other") })).not.toBe(path);
});

it("finds the sources and the processor", () => {
  expect(readdirSync(nativeFolder())).toContain("gemm.c");
  expect(cpuInfo().model).not.toBe("");
  expect(cpuInfo().threads).toBeGreaterThanOrEqual(1);
});
