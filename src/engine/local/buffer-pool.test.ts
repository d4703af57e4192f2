// Scratch memory that grows, is reused, and is given back when it is large.

import { expect, it } from "vitest";
import { ReferenceDevice } from "../../../test/contract/reference-device.ts";
import { BufferPool } from "./buffer-pool.ts";

it("keeps a buffer of enough length, and frees all of them when they take more than is allowed", () => {
  const device = new ReferenceDevice();
  const pool = new BufferPool(device);
  const first = pool.take("a", 100);
  expect(pool.take("a", 60)).toBe(first);
  expect(pool.take("a", 200).length).toBe(200);
  pool.take("b", 50, "bf16");
  pool.upload("c", Int32Array.of(1, 2));
  expect(pool.bytes).toBe(4 * 200 + 2 * 50 + 4 * 2);
  pool.trim(pool.bytes);
  expect(pool.take("a", 200)).not.toBe(first);
  expect(pool.bytes).toBe(908);
  pool.trim(907);
  expect(pool.bytes).toBe(0);
  expect(device.allocatedBytes).toBe(0);
  expect(pool.take("a", 10).length).toBe(10);
});
