// A directory of files as a gzipped tar stream, for downloads of checkpoints. Files alone, without folders, owners or times of their own,
// so that the same weights give the same bytes. Knows no checkpoint.
// Source: POSIX.1-2001 ustar; sizes of 8 GiB and more in base 256, as GNU tar writes them.

import { createReadStream, readdirSync, statSync } from "node:fs";
import { join } from "node:path";
import { Readable } from "node:stream";
import { createGzip, type Gzip } from "node:zlib";

const BLOCK = 512;
const LARGEST_OCTAL = 8 ** 11;

/** Streams the regular files of `dir`; those in `replaced` have that content instead. */
export function archiveOf(dir: string, replaced: Readonly<Record<string, Buffer>> = {}): Gzip {
  const gzip = createGzip({ level: 1 });
  const plain = Readable.from(blocks(dir, replaced));
  plain.once("error", (error) => gzip.destroy(error));
  gzip.once("close", () => plain.destroy());
  return plain.pipe(gzip);
}

async function* blocks(dir: string, replaced: Readonly<Record<string, Buffer>>): AsyncGenerator<Buffer> {
  for (const name of readdirSync(dir).sort()) {
    const file = join(dir, name);
    const { size, mode } = statSync(file);
    if (!statSync(file).isFile()) continue;
    const content = Object.hasOwn(replaced, name) ? replaced[name] : undefined;
    const bytes = content?.length ?? size;
    yield header(name, bytes, mode);
    if (content !== undefined) yield content;
    else yield* createReadStream(file);
    yield Buffer.alloc((BLOCK - (bytes % BLOCK)) % BLOCK);
  }
  yield Buffer.alloc(2 * BLOCK);
}

function header(name: string, size: number, mode: number): Buffer {
  const block = Buffer.alloc(BLOCK);
  if (Buffer.byteLength(name) > 100) throw new Error(`internal: ${name} is too long a name for an archive`);
  block.write(name, 0);
  block.write(`${(mode & 0o777).toString(8).padStart(7, "0")}\0`, 100);
  block.write("0000000\0", 108);
  block.write("0000000\0", 116);
  if (size < LARGEST_OCTAL) block.write(`${size.toString(8).padStart(11, "0")}\0`, 124);
  else {
    block[124] = 0x80;
    block.writeBigUInt64BE(BigInt(size), 128);
  }
  block.write("00000000000\0", 136);
  block.write("        ", 148);
  block.write("0", 156);
  block.write("ustar\u000000", 257);
  let sum = 0;
  for (const byte of block) sum += byte;
  block.write(`${sum.toString(8).padStart(6, "0")}\0 `, 148);
  return block;
}
