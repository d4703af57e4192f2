import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { gzipSync } from "node:zlib";
import fc from "fast-check";
import { afterAll, describe, expect, it } from "vitest";
import { DataError } from "../../../util/errors.ts";
import { extractTar } from "./tar.ts";

const scratch = mkdtempSync(join(tmpdir(), "rzero-tar-"));
afterAll(() => rmSync(scratch, { recursive: true, force: true }));
let made = 0;

interface Entry {
  name: string;
  content?: string;
  type?: string;
  size?: number;
}

function header({ name, content = "", type = "0", size = content.length }: Entry): Buffer {
  const block = Buffer.alloc(512);
  block.write(name, 0, 100);
  block.write("0000644\0", 100);
  block.write(`${size.toString(8).padStart(11, "0")}\0`, 124);
  block.write(type, 156);
  block.write("ustar\x0000", 257);
  block.write("        ", 148);
  const sum = block.reduce((total, byte) => total + byte, 0);
  block.write(`${sum.toString(8).padStart(6, "0")}\0 `, 148);
  return block;
}

function tar(entries: readonly Entry[]): Buffer {
  const parts = entries.flatMap((entry) => {
    const data = Buffer.from(entry.content ?? "");
    return [header(entry), data, Buffer.alloc((512 - (data.length % 512)) % 512)];
  });
  return Buffer.concat([...parts, Buffer.alloc(1024)]);
}

/** Extracts bytes into a folder of its own, beside which nothing may appear. */
async function extract(bytes: Buffer, limits?: Parameters<typeof extractTar>[2]) {
  const place = join(scratch, `${made++}`);
  mkdirSync(join(place, "out"), { recursive: true });
  writeFileSync(join(place, "archive"), bytes);
  try {
    const names = await extractTar(join(place, "archive"), join(place, "out"), limits);
    return Object.fromEntries(names.map((name) => [name, readFileSync(join(place, "out", name), "utf8")]));
  } finally {
    expect(readdirSync(place).sort()).toEqual(["archive", "out"]);
  }
}

describe("an archive", () => {
  const long = `deep/${"x".repeat(150)}`;
  const pax = `${`30 path=${"y".repeat(21)}`}\n`;
  const entries: Entry[] = [
    { name: "./", type: "5" },
    { name: "./adapter_config.json", content: "{}" },
    { name: "folder/weights", content: "w".repeat(2000) },
    { name: "././@LongLink", type: "L", content: `${long}\0` },
    { name: "cut", content: "long" },
    { name: "head", type: "x", content: pax },
    { name: "cut", content: "pax" },
  ];
  const files = { "adapter_config.json": "{}", "folder/weights": "w".repeat(2000), [long]: "long", ["y".repeat(21)]: "pax" };
  it("is extracted, plain and gzip, whatever it is called", async () => {
    expect(await extract(tar(entries))).toEqual(files);
    expect(await extract(gzipSync(tar(entries)))).toEqual(files);
  });
  it.each<[string, Entry]>([
    ["an absolute path", { name: "/etc/passwd", content: "x" }],
    ["a path out of the folder", { name: "a/../../x", content: "x" }],
    ["a backslash", { name: "..\\x", content: "x" }],
    ["a symbolic link", { name: "link", type: "2" }],
    ["a hard link", { name: "link", type: "1" }],
    ["a device", { name: "null", type: "3" }],
  ])("is refused with %s", async (_, entry) => {
    await expect(extract(tar([entry]))).rejects.toThrow(DataError);
  });
  it("is refused when it is too large, has too many files, or the same one twice", async () => {
    await expect(extract(tar(entries), { bytes: 1000, files: 10 })).rejects.toThrow("at most 1000 bytes");
    await expect(extract(tar(entries), { bytes: 1e6, files: 2 })).rejects.toThrow("at most 2 files");
    await expect(
      extract(
        tar([
          { name: "a", content: "1" },
          { name: "a", content: "2" },
        ]),
      ),
    ).rejects.toThrow();
    await expect(extract(Buffer.concat([header({ name: "a", size: 1e9 })]))).rejects.toThrow("ends early");
  });
  it("of any bytes gives a DataError or nothing", async () => {
    const whole = tar(entries);
    const damaged = fc.array(fc.tuple(fc.nat(whole.length - 1), fc.nat(255)), { maxLength: 8 });
    await fc.assert(
      fc.asyncProperty(damaged, fc.nat(whole.length), fc.boolean(), async (changes, length, zip) => {
        const bytes = Buffer.from(whole.subarray(0, length));
        for (const [at, to] of changes) if (at < bytes.length) bytes[at] = to;
        await extract(zip ? gzipSync(bytes).subarray(0, length) : bytes).catch((error) => {
          if (!(error instanceof DataError)) expect(error).toHaveProperty("syscall");
        });
      }),
      { numRuns: 60 },
    );
  });
});
