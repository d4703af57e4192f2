import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeEach, describe, expect, it } from "vitest";
import { CheckpointError } from "../util/errors.ts";
import { type CheckpointRef, PhaseCheckpoints } from "./checkpoints.ts";
import { phaseLayout, runLayout } from "./layout.ts";

const root = mkdtempSync(join(tmpdir(), "rzero-checkpoints-"));
afterAll(() => rmSync(root, { recursive: true, force: true }));

let number = 0;
let files = phaseLayout(runLayout(root, "run"), 1, "solver");
beforeEach(() => {
  files = phaseLayout(runLayout(root, "run"), ++number, "solver");
});

const ordinals = (store: PhaseCheckpoints) => store.list().map(({ ordinal }) => ordinal);
const names = () => readdirSync(files.checkpoints).sort();

async function save(store: PhaseCheckpoints, ordinal: number, flushed = false): Promise<CheckpointRef | undefined> {
  writeFileSync(join(store.begin(ordinal), "data"), `state ${ordinal}`);
  store.commit(ordinal, JSON.stringify({ step: ordinal }), [ordinal]);
  if (flushed) await store.flush(ordinal, []);
  return store.prune(2);
}

describe("the checkpoints of a phase", () => {
  it("are the newest, and the newest that a power loss leaves; the next is written over the one given up", async () => {
    const store = new PhaseCheckpoints(files);
    expect(await save(store, 1, true)).toBeUndefined();
    expect((await save(store, 2))?.ordinal).toBe(1);
    expect((await save(store, 3))?.ordinal).toBe(1);
    expect((await save(store, 4))?.ordinal).toBe(1);
    expect(ordinals(store)).toEqual([4, 3, 1]);
    expect(names()).toEqual(["00000001", "00000003", "00000004", "spare.partial"]);
    expect((await save(store, 5, true))?.ordinal).toBe(4);
    expect(ordinals(store)).toEqual([5, 4]);
    const dir = store.begin(6);
    expect(readFileSync(join(dir, "data"), "utf8")).toMatch(/^state [123]$/);
    expect(names()).not.toContain("spare.partial");
    expect(store.list().map((ref) => store.position(ref).step)).toEqual([5, 4]);
  });

  it("do not count what a killed writer left", async () => {
    await save(new PhaseCheckpoints(files), 1);
    const killed = new PhaseCheckpoints(files);
    killed.begin(2);
    const store = new PhaseCheckpoints(files);
    store.clean();
    expect(names()).toEqual(["00000001"]);
    expect(ordinals(store)).toEqual([1]);
  });

  it("end as the phase's state, and nothing else of them stays behind but those before", async () => {
    const store = new PhaseCheckpoints(files);
    for (const ordinal of [1, 2, 3]) await save(store, ordinal);
    await store.flush(3, []);
    store.finish(3);
    expect(names()).toEqual(["00000002"]);
    expect(readFileSync(join(files.state, "data"), "utf8")).toBe("state 3");
    expect(ordinals(store)).toEqual([Number.POSITIVE_INFINITY, 2]);
  });

  it("are refused when they were not flushed and a log lost its end", async () => {
    const log = join(files.dir, "log");
    const store = new PhaseCheckpoints(files);
    for (const ordinal of [1, 2, 3]) await save(store, ordinal, ordinal === 2);
    writeFileSync(log, "xx");
    const [newest, flushed] = store.list();
    expect(() => store.checkLogs(newest, [log])).toThrow(/expected at least 3 bytes, got 2/);
    writeFileSync(log, "");
    expect(() => store.checkLogs(flushed, [log])).not.toThrow();
  });

  it("refuse a position that was written over in part", async () => {
    const store = new PhaseCheckpoints(files);
    await save(store, 1);
    const [ref] = store.list();
    writeFileSync(join(ref.dir, "position.json"), readFileSync(join(ref.dir, "position.json"), "utf8").replace("step", "stop"));
    expect(() => store.position(ref)).toThrow(CheckpointError);
  });
});
