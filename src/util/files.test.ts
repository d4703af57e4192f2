// Files that are whole or absent: replacement, torn tails, bounded reading.

import { spawnSync } from "node:child_process";
import { appendFileSync, existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, it } from "vitest";
import { DataError, DiskError, isDiskFull } from "./errors.ts";
import {
  appendLine,
  cutTornTail,
  readBytes,
  readText,
  removePartials,
  replaceFile,
  sha256,
  sumFile,
  writeFileAtomic,
} from "./files.ts";

const root = mkdtempSync(join(tmpdir(), "rzero-files-"));
afterAll(() => rmSync(root, { recursive: true, force: true }));

/** SHA-256 of "abc", from FIPS 180-2. */
const ABC = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";

describe("replacement", () => {
  it("gives size and SHA-256, makes directories, leaves nothing beside", () => {
    const file = join(root, "deep", "er", "a.txt");
    expect(writeFileAtomic(file, "one")).toEqual({ bytes: 3, sha256: sha256("one") });
    expect(writeFileAtomic(file, "abc")).toEqual({ bytes: 3, sha256: ABC });
    expect(sumFile(file)).toEqual({ bytes: 3, sha256: ABC });
    expect(readFileSync(file, "utf8")).toBe("abc");
    expect(readdirSync(join(root, "deep", "er"))).toEqual(["a.txt"]);
  });

  it("a writer that throws half way leaves the old content", () => {
    const file = join(root, "half.txt");
    writeFileAtomic(file, "old");
    expect(() =>
      replaceFile(file, (put) => {
        put(Buffer.from("new"));
        throw new Error("stop");
      }),
    ).toThrow("stop");
    expect(readFileSync(file, "utf8")).toBe("old");
    expect(readdirSync(root).filter((name) => name.startsWith("half"))).toEqual(["half.txt"]);
  });

  it("a refusal of the disk is a DiskError with the system's code", () => {
    writeFileSync(join(root, "plain"), "");
    const attempt = () => writeFileAtomic(join(root, "plain", "below.txt"), "x");
    expect(attempt).toThrow(DiskError);
    expect(attempt).toThrow(/below\.txt|plain/);
    expect(isDiskFull(new Error("x", { cause: new DiskError("f", "ENOSPC") }))).toBe(true);
    expect(isDiskFull(new DiskError("f", "EIO"))).toBe(false);
  });

  it("removePartials takes away what a killed writer left, and nothing else", () => {
    const dir = join(root, "killed");
    mkdirSync(join(dir, "below"), { recursive: true });
    for (const name of ["a.json", "a.json.partial-12", "below/w.partial-7", "below/x.partial"])
      writeFileSync(join(dir, name), "");
    removePartials(dir);
    expect(readdirSync(dir).sort()).toEqual(["a.json", "below"]);
    expect(readdirSync(join(dir, "below"))).toEqual(["x.partial"]);
  });
});

describe("logs", () => {
  it("a torn tail is cut before the next line", () => {
    const file = join(root, "log.jsonl");
    appendLine(file, '{"a":1}');
    appendFileSync(file, '{"a":2');
    appendLine(file, '{"a":3}', { sync: true });
    expect(readFileSync(file, "utf8")).toBe('{"a":1}\n{"a":3}\n');
  });

  it("cutTornTail: a tail longer than one piece, a file without newline, a whole file, a missing one", () => {
    const file = join(root, "tail.jsonl");
    writeFileSync(file, `whole\n${"x".repeat(200_000)}`);
    expect(cutTornTail(file)).toBe(6);
    expect(readFileSync(file, "utf8")).toBe("whole\n");
    expect(cutTornTail(file)).toBe(6);
    writeFileSync(file, "torn");
    expect(cutTornTail(file)).toBe(0);
    expect(cutTornTail(join(root, "none"))).toBe(0);
    expect(existsSync(join(root, "none"))).toBe(false);
  });
});

describe("bounded reading", () => {
  it("refuses what is larger, no file, or no UTF-8", () => {
    const file = join(root, "r.txt");
    writeFileSync(file, "\uFEFFäb");
    expect(readText(file, 6)).toBe("äb");
    expect(() => readText(file, 5)).toThrow(/expected at most 5 bytes, got 6/);
    expect(() => readText(root, 5)).toThrow(/expected a file, got a directory/);
    expect(() => readText(join(root, "none"), 5)).toThrow(/got ENOENT/);
    writeFileSync(file, Buffer.from([0x61, 0xff]));
    expect(() => readText(file, 6)).toThrow(DataError);
    expect([...readBytes(file, 6)]).toEqual([0x61, 0xff]);
  });

  it("a pipe is refused, not waited for", () => {
    const pipe = join(root, "pipe");
    if (spawnSync("mkfifo", [pipe]).status !== 0) return;
    expect(() => readText(pipe, 5)).toThrow(/expected a file, got a device/);
  });
});
