// Tests of saved weights on the disk: replaced whole, few ephemeral ones, expiry, what a killed writer leaves.

import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, it } from "vitest";
import { Problem } from "../problem.ts";
import { type CheckpointRef, CheckpointStore, parseTinkerPath, tinkerPath } from "./checkpoints.ts";

let dir: string;
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), "rzero-checkpoints-"));
});
afterEach(() => rmSync(dir, { recursive: true, force: true }));

const ref = (name: string): CheckpointRef => ({ modelId: "model_1", kind: "sampler_weights", name });
const holding = (text: string) => async (place: string) => {
  mkdirSync(place);
  writeFileSync(join(place, "file"), text);
};

it("is whole or absent, also to the next that opens it", async () => {
  const store = new CheckpointStore(dir);
  await store.save(ref("a"), {}, holding("first"));
  const failing = store.save(ref("a"), {}, async (place) => {
    await holding("half")(place);
    throw new Error("no room");
  });
  await expect(failing).rejects.toThrow("no room");
  await expect(store.save(ref("b"), {}, () => Promise.reject(new Error("no room")))).rejects.toThrow("no room");
  const again = new CheckpointStore(dir);
  expect(again.list("model_1").map(tinkerPath)).toEqual(["tinker://model_1/sampler_weights/a"]);
  expect(readFileSync(join(again.contentDir(ref("a")), "file"), "utf8")).toBe("first");
  await again.save(ref("a"), {}, holding("second"));
  expect(readFileSync(join(again.contentDir(ref("a")), "file"), "utf8")).toBe("second");
  expect(again.find(ref("a")).bytes).toBe(6);
});

it("keeps the ephemeral ones that were used last, and all others", async () => {
  const store = new CheckpointStore(dir);
  await store.save(ref("kept"), {}, holding("x"));
  const gone: string[] = [];
  for (let i = 0; i < 40; i++) {
    if (i > 0) store.find(ref("e0"));
    gone.push(...(await store.save(ref(`e${i}`), { ephemeral: true }, holding("x"))).map(({ name }) => name));
  }
  expect(gone).toEqual(["e1", "e2", "e3", "e4", "e5", "e6", "e7", "e8"]);
  expect(existsSync(store.contentDir(ref("e1")))).toBe(false);
  expect(new CheckpointStore(dir).list("model_1")).toHaveLength(33);
});

it("drops what has expired, unless that was taken back", async () => {
  const store = new CheckpointStore(dir);
  for (const name of ["a", "b"]) await store.save(ref(name), { ttlSeconds: 60 }, holding("x"));
  store.change(ref("b"), { ttlSeconds: null });
  expect(store.sweep(Date.now() + 59_000)).toEqual([]);
  expect(store.sweep(Date.now() + 61_000).map(({ name }) => name)).toEqual(["a"]);
  expect(() => store.find(ref("a"))).toThrow(Problem);
  expect(store.has(ref("b"))).toBe(true);
});

it("reads addresses and refuses those that would leave the directory", () => {
  expect(parseTinkerPath("tinker://m/weights/n.1")).toEqual({ modelId: "m", kind: "weights", name: "n.1" });
  expect(parseTinkerPath("tinker://m/n")).toEqual({ modelId: "m", kind: "sampler_weights", name: "n" });
  for (const bad of [
    "tinker://../weights/n",
    "tinker://m/weights/..",
    "tinker://m/other/n",
    "http://m/n",
    "tinker://m/weights/a/b",
    "",
  ])
    expect(() => parseTinkerPath(bad)).toThrow(Problem);
});
