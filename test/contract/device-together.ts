// Contract of what a device does at once: several products of one x, and ops that are noted down. Both must give the bits of single calls.

import { expect, it } from "vitest";
import type { Device, WeightFormat } from "../../src/engine/local/device/types.ts";
import { noise } from "./device-cases.ts";
import { sameBits, uploaded } from "./device-runs.ts";

const FORMATS: readonly WeightFormat[] = ["f32", "bf16", "int8"];

/** Declares the tests of `linears` and `together`. */
export function togetherTests(device: () => Device): void {
  it.each(FORMATS.flatMap((format) => [1, 3, 7, 15, 16, 40, 64, 260].map((rows) => ({ format, rows }))))(
    "linears have the bits of linear: $format, $rows rows",
    ({ format, rows }) => {
      const d = device();
      const [x, bias] = [uploaded(d, noise(rows * 70, 81)), uploaded(d, noise(300, 82))];
      const weights = [300, 33, 128].map((out, i) => {
        const w = uploaded(d, noise(out * 70, 83 + i));
        const packed = d.packWeight(w, out, 70, format);
        d.free(w);
        return { w: packed, y: d.alloc("f32", rows * out), bias: i === 0 ? bias : undefined };
      });
      const read = () => weights.map(({ y }) => d.download(y));
      for (const { y, w, bias } of weights) d.linear(y, x, w, rows, bias);
      const expected = read();
      for (const count of [2, 3]) {
        for (const { y } of weights.slice(0, count)) d.zero(y);
        d.linears(weights.slice(0, count), x, rows);
        for (const [i, y] of read().entries()) expect(sameBits(y, expected[i]), `weight ${i} of ${count}`).toBe(true);
      }
      for (const { w, y } of weights) {
        d.freePacked(w);
        d.free(y);
      }
      for (const buffer of [x, bias]) d.free(buffer);
    },
  );
  it("ops run together see each other's results, memory that is freed on the way, and what is read", () => {
    const d = device();
    const [a, sum, twice] = [uploaded(d, noise(1000, 86)), d.alloc("f32", 1000), d.alloc("f32", 1000)];
    const seen = d.together(() => {
      const ones = uploaded(d, new Float32Array(1000).fill(1));
      d.add(sum, a, ones, 1000);
      d.free(ones);
      d.add(twice, sum, sum, 1000);
      const read = d.download(twice);
      for (let i = 0; i < 5000; i++) d.add(sum, sum, a, 1000); // more than any list holds
      d.together(() => d.add(twice, a, a, 1000));
      return read;
    });
    const x = noise(1000, 86);
    expect(seen).toEqual(x.map((value) => 2 * Math.fround(value + 1)));
    expect(d.download(sum)).toEqual(
      x.map((value) => {
        let total = Math.fround(value + 1);
        for (let i = 0; i < 5000; i++) total = Math.fround(total + value);
        return total;
      }),
    );
    expect(d.download(twice)).toEqual(x.map((value) => 2 * value));
    for (const buffer of [a, sum, twice]) d.free(buffer);
  });
}
