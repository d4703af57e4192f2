// What a run says of itself: checksums found whole or damaged by name, newer formats and links refused, no key shown anywhere.

import { spawnSync } from "node:child_process";
import { appendFileSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, beforeEach, describe, expect, it } from "vitest";
import { parseConfigText } from "../../src/config/load.ts";
import { HttpServer } from "../../src/server/http.ts";
import type { RunStore } from "../../src/store/run-store.ts";
import { createRun, openRun } from "../../src/store/runs.ts";
import { verifyRun } from "../../src/store/verify.ts";
import { ConfigError, DataError } from "../../src/util/errors.ts";
import { keepSecret, redact } from "../../src/util/secrets.ts";
import { smallRun } from "./disk-walk.ts";
import { startRzero } from "./harness.ts";

const root = mkdtempSync(join(tmpdir(), "rzero-verify-"));
afterAll(() => rmSync(root, { recursive: true, force: true }));
const main = fileURLToPath(new URL("../../dist/cli/main.js", import.meta.url));
const rzero = (args: string[], env = {}) =>
  spawnSync(process.execPath, [main, ...args], { encoding: "utf8", env: { ...process.env, ...env } });

let run: RunStore;
let count = 0;
beforeEach(() => {
  run = createRun({ root, config: parseConfigText("seed: 7\n", "x.yaml"), name: `run-${++count}`, version: "0" });
  const files = run.phase(1, "curriculum");
  mkdirSync(join(files.dir, "model"), { recursive: true });
  writeFileSync(files.questions, '{"question":"1+1"}\n');
  writeFileSync(join(files.dir, "model", "weights.bin"), "abc");
  run.markDone(1, "curriculum", { pool: 4, kept: 2 });
  run.appendEvent({ event: "start" });
});

describe("rzero inspect --verify", () => {
  it("a whole run is whole; a flipped byte, a lost and a cut file are named with their cost", () => {
    expect(verifyRun(run)).toMatchObject({ damaged: [], unchecked: [] });
    const { dir, questions } = run.phase(1, "curriculum");
    writeFileSync(join(dir, "model", "weights.bin"), "abd");
    rmSync(questions);
    appendFileSync(join(dir, "done.json"), " ");
    const { damaged } = verifyRun(run);
    expect(damaged.map(({ file, problem }) => [file.slice("iteration-01/curriculum/".length), problem.slice(0, 16)])).toEqual([
      ["model/weights.bin", "expected SHA-256"],
      ["questions.jsonl", "it is missing"],
      ["done.json", expect.stringMatching(/^expected \d+ byte/)],
    ]);
    for (const { remedy, cost } of damaged) expect([remedy.length > 10, cost.length > 10]).toEqual([true, true]);
  });

  it("prints it, as JSON too, and exits with 1", () => {
    const whole = rzero(["inspect", run.name, "--runs", root, "--verify"]);
    expect([whole.status, whole.stdout]).toEqual([0, expect.stringContaining("0 damaged")]);
    writeFileSync(run.phase(1, "curriculum").questions, "x");
    const { status, stdout } = rzero(["inspect", run.name, "--runs", root, "--verify", "--json"]);
    expect(status).toBe(1);
    expect(JSON.parse(stdout)).toMatchObject({ run: run.name, damaged: [{ file: "iteration-01/curriculum/questions.jsonl" }] });
  });

  it("a manifest that names files outside is damaged, not followed", () => {
    for (const name of ["../../../etc/passwd", "/etc/passwd", "a/../../b", "a\\b"]) {
      const file = join(run.phase(1, "curriculum").dir, "manifest.json");
      writeFileSync(file, JSON.stringify({ format: 1, files: { [name]: { bytes: 1, sha256: "x" } } }));
      expect(
        verifyRun(run)
          .damaged.map(({ problem }) => problem)
          .join(),
      ).toMatch(/expected paths inside the phase/);
    }
  });
});

describe("formats and paths", () => {
  it("a run of a newer version is refused by name of the version, an older one opens", () => {
    const info = JSON.parse(readFileSync(run.layout.info, "utf8")) as object;
    writeFileSync(run.layout.info, JSON.stringify({ ...info, format: 2 }));
    writeFileSync(run.layout.config, "newKey: 1\n");
    expect(() => openRun(root, run.name)).toThrow(/expected format 1 or older, got 2\. A newer rzero made it/);
    writeFileSync(run.layout.info, JSON.stringify({ ...info, format: undefined }));
    writeFileSync(run.layout.config, "seed: 7\n");
    expect(openRun(root, run.name).config.seed).toBe(7);
  });

  it("a link inside a run is refused before anything is written through it", () => {
    const outside = mkdtempSync(join(root, "outside-"));
    symlinkSync(outside, join(run.dir, "iteration-02"));
    expect(() => openRun(root, run.name)).toThrow(DataError);
    expect(readdirSync(outside)).toEqual([]);
  });
});

describe("secrets and servers", () => {
  it("a planted key is in no output and no file of a run or of failing commands", async () => {
    const key = "planted-7f3a9c-key";
    const env = {
      HF_TOKEN: key,
      RZERO_JUDGE_KEY: key,
      OPENAI_API_KEY: key,
      RZERO_API_KEY: key,
      RZERO_DEBUG: "1",
      RZERO_RUNS: root,
    };
    const outputs = [
      rzero(["inspect", key], env),
      rzero(["run", `no/${key}.yaml`], env),
      rzero(["serve", "--model", join(root, key), "--api-key", key], env),
      rzero(["eval", join(root, key), "--bench", join(root, `${key}.jsonl`)], env),
    ];
    for (const { status, stdout, stderr } of outputs) {
      expect(status).not.toBe(0);
      expect(stdout + stderr).not.toContain(key);
      expect(stdout + stderr).not.toBe("");
    }
    keepSecret('a"quoted/key');
    expect(redact(`x a"quoted/key ${JSON.stringify('a"quoted/key')} ${encodeURIComponent('a"quoted/key')}`)).toBe(
      'x [secret] "[secret]" [secret]',
    );
    run.appendEvent({ event: "warning", message: 'lost a"quoted/key' });
    const { code, stdout, stderr } = await startRzero(root, smallRun(root, "keyed"), env).ended;
    expect({ code, keyed: (stdout + stderr).includes(key) }).toEqual({ code: 0, keyed: false });
    const files = readdirSync(root, { recursive: true, withFileTypes: true }).filter((entry) => entry.isFile());
    expect(files.length).toBeGreaterThan(30);
    for (const { parentPath, name } of files) {
      const bytes = readFileSync(join(parentPath, name));
      expect([name, bytes.includes(key), bytes.includes("quoted")]).toEqual([name, false, false]);
    }
  });

  it.each(["0.0.0.0", "::", "192.168.1.1", "example.org", "127.0.0.1.example.org"])(
    "a server refuses %s without a key",
    async (host) => {
      await expect(HttpServer.start([], { host, port: 0, maxBodyBytes: 1 })).rejects.toThrow(ConfigError);
    },
  );
});
