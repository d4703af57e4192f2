import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, expect, it } from "vitest";
import { CheckpointError } from "../../../util/errors.ts";
import { readSavedState, type SavedState, writeSavedState } from "./saved-state.ts";
import { SavedWeights } from "./saved-weights.ts";
import type { Server } from "./server.ts";

const scratch = mkdtempSync(join(tmpdir(), "rzero-saved-"));
afterAll(() => rmSync(scratch, { recursive: true, force: true }));

const lora = { rank: 4, attention: true, mlp: true, unembed: false };
const stateOf = (path: string): SavedState => ({ server: "http://127.0.0.1:1", model: "m", path, lora });

it("a saved state is read again, kept or scratch, and refused when damaged or of another shape", () => {
  for (const isScratch of [true, false]) {
    const dir = join(scratch, `state-${isScratch}`);
    writeSavedState(dir, stateOf("tinker://a/weights/1"), isScratch);
    expect(readSavedState(dir, lora)).toEqual(stateOf("tinker://a/weights/1"));
    expect(() => readSavedState(dir, { ...lora, rank: 8 })).toThrow("expected the state of an adapter as in engine.lora");
    const file = join(dir, "tinker.json");
    writeFileSync(file, readFileSync(file, "utf8").replace("weights/1", "weights/2"));
    expect(() => readSavedState(dir, lora)).toThrow(CheckpointError);
  }
  expect(() => readSavedState(join(scratch, "none"), lora)).toThrow(CheckpointError);
});

it("states that no file names any more are dropped on their server, but not the newest", () => {
  const dropped: string[] = [];
  const server = { connection: { delete: async (path: string) => void dropped.push(path) } } as unknown as Server;
  const runDir = join(scratch, "run");
  const saved = new SavedWeights(runDir);
  const named = join(runDir, "iteration-01", "solver", "checkpoints", "00000003");
  mkdirSync(named, { recursive: true });
  for (let i = 1; i <= 12; i++) {
    const path = `tinker://model/weights/state-${i}`;
    if (i === 3) writeSavedState(named, stateOf(path), true);
    saved.note(server, path);
  }
  const numbers = dropped.map((path) => Number(/^\/training_runs\/model\/checkpoints\/weights\/state-(\d+)$/.exec(path)?.[1]));
  expect(numbers).toEqual([1, 2, 4, 5, 6, 7, 8]);
});
