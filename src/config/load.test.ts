// Configuration: presets, recipes, overrides, and the place and hint in every error.

import { mkdtempSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { stringify } from "yaml";
import { ConfigError } from "../util/errors.ts";
import { loadConfig, parseConfigText, parseOverride } from "./load.ts";
import { PRESETS } from "./presets.ts";
import { configSchema } from "./schema.ts";

const load = (text: string, ...flags: string[]) => parseConfigText(text, "my.yaml", flags.map(parseOverride));

function errorOf(action: () => unknown): string {
  try {
    action();
  } catch (error) {
    expect(error).toBeInstanceOf(ConfigError);
    return (error as Error).message;
  }
  throw new Error("expected a ConfigError");
}

describe("errors name the place and what to do", () => {
  it("unknown key: file:line:col and the nearest key", () => {
    expect(errorOf(() => load("seed: 3\nchallenger:\n  sampling:\n    topp: 0.9\n"))).toBe(
      'my.yaml:4:5: expected a known key in challenger.sampling, got "topp". Did you mean challenger.sampling.topP?',
    );
    expect(errorOf(() => load("chalenger: {}\n"))).toContain("my.yaml:1:1: ");
  });

  it("a far-off key lists the known ones", () => {
    expect(errorOf(() => load("votes: { zzzzzzzzzzzz: 1 }\n"))).toContain("Known here: missing, truncated.");
  });

  it("wrong type: file:line:col of the value, the range, and the value", () => {
    expect(errorOf(() => load("challenger:\n  steps: five\n"))).toBe(
      'my.yaml:2:10: challenger.steps: expected a whole number ≥ 0, got "five".',
    );
    expect(errorOf(() => load("engine: { threads: 0 }\n"))).toBe(
      'my.yaml:1:20: engine.threads: expected "auto" or a whole number ≥ 1, got 0.',
    );
    expect(errorOf(() => load("curriculum:\n  band: [0.3, high]\n"))).toContain(
      "my.yaml:2:15: curriculum.band.1: expected a number ≥ 0 and ≤ 1",
    );
  });

  it("a bad flag is named as the flag", () => {
    expect(errorOf(() => load("seed: 1\n", "--solver.stepz=3"))).toContain("--solver.stepz: expected a known key in solver");
    expect(errorOf(() => load("seed: 1\n", "--solver.steps=-3"))).toContain(
      "--solver.steps: solver.steps: expected a whole number ≥ 0, got -3",
    );
    expect(errorOf(() => parseOverride("--solver.steps"))).toContain("expected --path.to.key=value");
  });

  it("conditions between keys", () => {
    expect(errorOf(() => load("curriculum: { band: [0.9, 0.1] }\n"))).toContain("low ≤ high");
    expect(errorOf(() => load("solver:\n  questionsPerOptimizerStep: 3\n"))).toContain(
      "my.yaml:2:30: solver.questionsPerOptimizerStep: expected a divisor",
    );
    expect(errorOf(() => load("prompts: { solver: [{ role: user, content: hello }] }\n"))).toContain("{question}");
  });

  it("text that is no configuration", () => {
    expect(errorOf(() => load("- a\n- b\n"))).toContain("my.yaml:1:1: expected keys and values");
    expect(errorOf(() => load("a: [1\nb: 2\n"))).toMatch(/^my\.yaml:\d+:\d+: expected YAML/);
    expect(errorOf(() => load("seed: 1\nseed: 2\n"))).toContain("my.yaml:2:1");
    expect(errorOf(() => load("__proto__: { polluted: 1 }\n"))).toContain("__proto__");
    expect(({} as { polluted?: number }).polluted).toBeUndefined();
  });

  it("an unknown recipe or preset", () => {
    expect(errorOf(() => loadConfig({ recipe: "tinny" }))).toContain("Did you mean tiny?");
    expect(errorOf(() => loadConfig({ recipe: "no/such.yaml" }))).toContain("no/such.yaml: expected a readable file, got ENOENT");
    expect(errorOf(() => load("preset: papr\n"))).toContain(
      'my.yaml:1:9: preset: expected "paper" or "released" or "improved", got "papr"',
    );
  });
});

describe("layers: defaults, preset, file, flags", () => {
  it("the defaults are the paper's", () => {
    const { name: _, ...defaults } = load("preset: paper\n");
    expect(configSchema.parse({})).toEqual(defaults);
    expect(configSchema.parse(PRESETS.paper)).toEqual(defaults);
    expect(defaults.curriculum.band).toEqual([0.25, 0.75]);
    expect(defaults.solver.optimizer.learningRate).toBe(1e-6);
  });

  it("released differs where algorithm.md says", () => {
    const { challenger, curriculum, votes, solver } = load("preset: released\n");
    expect(challenger.reward).toMatchObject({
      uncertainty: "min",
      malformed: "penalty",
      clampAtZero: false,
      wellFormed: "question",
    });
    expect([challenger.questionsPerStep, challenger.questionsPerOptimizerStep]).toEqual([512 * 4, 16 * 4]);
    expect([curriculum.answers, curriculum.band, curriculum.filters.words]).toEqual([9, [0.3, 0.8], true]);
    expect([votes.missing, solver.reward]).toEqual(["none-vote", { correct: 0.9, format: 0.1 }]);
  });

  it("improved is paper with three repairs and a guard that acts", () => {
    const paper = load("preset: paper\n");
    const improved = load("preset: improved\n");
    expect(improved).toEqual({
      ...paper,
      preset: "improved",
      challenger: { ...paper.challenger, advantage: { baseline: "batch" } },
      votes: { missing: "no-vote", truncated: "no-vote" },
      curriculum: { ...paper.curriculum, deduplicate: "exact" },
      guard: { ...paper.guard, action: "rollback" },
    });
  });

  it("a file goes over its preset, and a flag over the file", () => {
    const config = load(
      "preset: released\nsolver: { steps: 4 }\n",
      "--solver.steps=7",
      "--curriculum.band=[0.1, 0.2]",
      "challenger.train=false",
    );
    expect([config.solver.steps, config.solver.groupSize]).toEqual([7, 5]);
    expect(config.curriculum.band).toEqual([0.1, 0.2]);
    expect(config.challenger.train).toBe(false);
  });

  it("a flag can choose the preset and reach into a list", () => {
    expect(load("seed: 1\n", "--preset=released").curriculum.answers).toBe(9);
    const config = load(
      "evaluation: { benches: [{ name: a, data: x }, { name: b, data: y }] }\n",
      "--evaluation.benches.1.name=c",
    );
    expect(config.evaluation.benches).toEqual([
      { name: "a", data: "x" },
      { name: "c", data: "y" },
    ]);
  });

  it("absent keys follow the keys they lean on", () => {
    const config = load("challenger: { questionsPerStep: 64, sampling: { maxTokens: 77 } }\n");
    expect(config.challenger.questionsPerOptimizerStep).toBe(64);
    expect(config.curriculum.sampling).toEqual(config.challenger.sampling);
  });

  it("relative paths belong to the file", () => {
    const dir = mkdtempSync(join(tmpdir(), "rzero-config-"));
    writeFileSync(join(dir, "data.jsonl"), "");
    const text = "evaluation: { benches: [{ name: a, data: data.jsonl }] }\nbase: tiny-base\n";
    const config = parseConfigText(text, join(dir, "r.yaml"));
    expect(config.evaluation.benches[0].data).toBe(join(dir, "data.jsonl"));
    expect(config.base).toBe("tiny-base");
  });
});

describe("recipes", () => {
  it.each(["tiny", "paper-qwen3-4b"])("%s loads, and its resolved form loads to the same", (recipe) => {
    const config = loadConfig({ recipe });
    expect(config.name).toBe(recipe);
    expect(parseConfigText(stringify(config), "config.yaml")).toEqual(config);
  });

  it("tiny is the default", () => {
    expect(loadConfig().name).toBe("tiny");
  });
});
