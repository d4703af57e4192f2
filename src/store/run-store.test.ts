// Runs on the disk: names, phase markers, what a killed process leaves, and the errors of JSON Lines files.

import { spawnSync } from "node:child_process";
import { appendFileSync, existsSync, mkdirSync, mkdtempSync, readFileSync, writeFileSync } from "node:fs";
import { hostname, tmpdir } from "node:os";
import { join } from "node:path";
import { beforeEach, describe, expect, it } from "vitest";
import { loadConfigFile, parseConfigText } from "../config/load.ts";
import { CheckpointError, ConfigError, DataError } from "../util/errors.ts";
import { writeFileAtomic } from "../util/files.ts";
import { expectObject, readJsonl } from "./jsonl.ts";
import { createRun, listRuns, openRun } from "./runs.ts";

const config = parseConfigText("name: tiny\nseed: 7\n", "tiny.yaml");
let root: string;
beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), "rzero-store-"));
});
const create = (name?: string) => createRun({ root, config, name, version: "1.2.3" });

describe("names", () => {
  it("defaults to the recipe and a counter", () => {
    expect([create().name, create().name, create("mine").name, create().name]).toEqual([
      "tiny-001",
      "tiny-002",
      "mine",
      "tiny-003",
    ]);
  });

  it("a name in use is an error that offers resume", () => {
    create("mine");
    expect(() => create("mine")).toThrow(ConfigError);
    expect(() => create("mine")).toThrow(/rzero resume mine/);
  });

  it.each(["../x", "a/b", "", ".hidden", "a\nb", "x".repeat(101)])("refuses %j", (name) => {
    expect(() => create(name)).toThrow(ConfigError);
  });

  it("an unknown run is an error with the nearest name", () => {
    create("mine");
    expect(() => openRun(root, "mime")).toThrow(/Did you mean mine/);
  });
});

describe("a run", () => {
  it("keeps a configuration that reruns it", () => {
    const run = create();
    expect(openRun(root, run.name).config).toEqual(config);
    expect(loadConfigFile(run.layout.config)).toEqual(config);
    expect(openRun(root, run.name).info).toMatchObject({ recipe: "tiny", rzero: "1.2.3", node: process.version });
  });

  it("counts a phase only when its marker is there, and readies what an interrupted one left", () => {
    const run = create();
    const phase = run.openPhase(1, "challenger");
    run.writeJsonl(phase.questions, [{ question: "1+1?" }]);
    run.appendJsonl(phase.metrics, { step: 1 });
    expect(run.phaseDone(1, "challenger")).toBe(false);
    expect(run.lastDone()).toBeUndefined();
    expect(() => run.readDone(1, "challenger")).toThrow(CheckpointError);
    run.openPhase(1, "challenger");
    expect([existsSync(phase.questions), existsSync(phase.metrics)]).toEqual([false, true]);

    run.markDone(1, "challenger", { steps: [{ reward: 1 }], voteShare: 0.1 + 0.2 });
    expect(openRun(root, run.name).readDone(1, "challenger")).toEqual({ steps: [{ reward: 1 }], voteShare: 0.1 + 0.2 });
    expect(run.lastDone()).toEqual({ iteration: 1, phase: "challenger" });
    expect(() => run.openPhase(1, "challenger")).toThrow(/internal/);
  });

  it("knows its state", () => {
    const run = create();
    expect(run.state()).toBe("new");
    run.markDone(0, "evaluation", {});
    expect(run.state()).toBe("stopped");
    run.lock();
    expect(run.state()).toBe("running");
    run.unlock();
    run.markRunDone({ best: { iteration: 2 } });
    expect(run.state()).toBe("done");
    expect(openRun(root, run.name).readSummary()).toEqual({ best: { iteration: 2 } });
  });

  it.runIf(existsSync("/proc/self/stat"))("a lock of a living process holds, one of a dead process does not", () => {
    const run = create();
    const born = readFileSync(`/proc/${process.ppid}/stat`, "utf8").split(") ")[1].split(" ")[19];
    writeFileSync(run.layout.lock, JSON.stringify({ pid: process.ppid, host: hostname(), born }));
    expect(() => run.lock()).toThrow(ConfigError);
    const dead = spawnSync("true").pid;
    writeFileSync(run.layout.lock, JSON.stringify({ pid: dead, host: hostname(), born: "1" }));
    run.lock();
    expect(JSON.parse(readFileSync(run.layout.lock, "utf8"))).toMatchObject({ pid: process.pid });
  });

  it("reads events past a partial last line, and repairs the log when the run goes on", () => {
    const run = create();
    run.appendEvent({ event: "start", seed: 7 });
    appendFileSync(run.layout.events, '{"event":"st');
    expect(run.events().map(({ event }) => event)).toEqual(["start"]);
    run.lock();
    run.appendEvent({ event: "resume" });
    expect(run.events().map(({ event }) => event)).toEqual(["start", "resume"]);
  });

  it("is listed, also when damaged", () => {
    const run = create("b-run");
    run.markDone(1, "solver", {});
    create("a-run");
    writeFileSync(join(root, "a-run", "config.yaml"), "seed: x\n");
    mkdirSync(join(root, "no-run"));
    expect(listRuns(root).map(({ name, state, last, seed }) => ({ name, state, last, seed }))).toEqual([
      { name: "a-run", state: "damaged", last: undefined, seed: undefined },
      { name: "b-run", state: "stopped", last: { iteration: 1, phase: "solver" }, seed: 7 },
    ]);
    expect(listRuns(join(root, "nowhere"))).toEqual([]);
  });
});

describe("JSON Lines", () => {
  const read = (text: string | Buffer) => {
    const file = join(root, "x.jsonl");
    writeFileSync(file, text);
    return readJsonl(file, (value, where) => expectObject(value, where).a);
  };

  it("reads lines, skips blank ones, needs no last newline, keeps a character that a chunk border cuts", () => {
    expect(read('{"a":1}\n\n  \r\n{"a":2}')).toEqual([1, 2]);
    const long = "é".repeat((1 << 20) + 3);
    expect(read(`{"a":"x${long}"}\n{"a":3}\n`)).toEqual([`x${long}`, 3]);
    expect(read("")).toEqual([]);
  });

  it("a bad line is named by file and number", () => {
    expect(() => read('{"a":1}\n\n{"a":\n')).toThrow(DataError);
    expect(() => read('{"a":1}\n\n{"a":\n')).toThrow(/x\.jsonl:3: expected JSON, got/);
    expect(() => read('{"a":1}\n[2]\n')).toThrow(/x\.jsonl:2: expected a JSON object \{…\}, got \[2\]/);
    expect(() => read(Buffer.from([0x7b, 0xff, 0xfe]))).toThrow(/expected UTF-8/);
    expect(() => readJsonl(join(root, "none.jsonl"), (value) => value)).toThrow(
      /none\.jsonl: expected a readable file, got ENOENT/,
    );
    expect(() => readJsonl(root, (value) => value)).toThrow(/expected a file, got a directory/);
  });

  it("a line without end is refused, not swallowed", () => {
    expect(() => read("x".repeat(17 * 1024 ** 2))).toThrow(/expected a line of at most/);
  });

  it("writing replaces a file whole and leaves nothing beside it", () => {
    const file = join(root, "deep", "f.txt");
    writeFileAtomic(file, "one");
    writeFileAtomic(file, "two");
    expect(readFileSync(file, "utf8")).toBe("two");
    expect(spawnSync("ls", ["-A", join(root, "deep")]).stdout.toString()).toBe("f.txt\n");
  });
});
