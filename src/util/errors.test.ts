import { describe, expect, it } from "vitest";
import { asDiskError, DiskError, isDiskFull } from "./errors.ts";

const system = (code: string) => Object.assign(new Error(`${code}: no, mkdir '/r'`), { code, syscall: "mkdir", path: "/r" });

describe("asDiskError", () => {
  it("names a full and a failing disk, and leaves other errors alone", () => {
    const full = asDiskError(system("ENOSPC"));
    expect(full).toBeInstanceOf(DiskError);
    expect(full).toMatchObject({
      message: "/r: expected to write it, got ENOSPC: no, mkdir '/r'. Make room on the disk.",
      retryable: true,
    });
    expect(isDiskFull(full)).toBe(true);
    expect(asDiskError(system("EIO"))).toMatchObject({ name: "DiskError", code: "EIO", retryable: false });
    for (const other of [system("ENOENT"), new Error("x"), Object.assign(new Error("y"), { code: "ENOSPC" }), "z", full])
      expect(asDiskError(other)).toBe(other);
  });
});
