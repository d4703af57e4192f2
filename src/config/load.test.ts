// Configuration: presets, recipes, overrides, and the place and hint in every error.

import { mkdtempSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { stringify } from "yaml";
import { ConfigError } from "../util/errors.ts";
import { loadConfig, parseConfigText, parseOverride, recipeNames } from "./load.ts";
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
    expect(errorOf(() => load("votes: { zzzzzzzzzzzz: 1 }\n"))).toContain("Known here: missing, truncated, equivalence.");
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

  it("remedies that do not go together, or cannot be", () => {
    expect(errorOf(() => load("roles: shared\nchallenger: { start: solver }\n"))).toContain(
      "challenger.start: expected previous beside roles: shared",
    );
    expect(errorOf(() => load("challenger: { start: base, optimizer: { fresh: false } }\n"))).toContain(
      "expected true beside challenger.start: base",
    );
    expect(errorOf(() => load("solver: { reward: { overlong: { buffer: 5000 } } }\n"))).toContain(
      "expected at most solver.sampling.maxTokens (4096)",
    );
    expect(errorOf(() => load("challenger: { reward: { quality: { wellPosed: '(a)\\1' } } }\n"))).toContain(
      "expected a regular expression without back-references",
    );
    expect(errorOf(() => load("challenger: { reward: { window: [0.9, 0.1] } }\n"))).toContain("low ≤ high");
    expect(errorOf(() => load("solver: { grpo: { loss: grpo } }\n"))).toContain('expected "ppo" or "cispo" or "gspo"');
    expect(errorOf(() => load("audit: { probes: { count: 3 } }\n"))).toContain("audit.probes.data");
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
    expect([votes.missing, solver.reward]).toEqual([
      "none-vote",
      { correct: 0.9, format: 0.1, control: "none", overlong: { buffer: 0, weight: 1 } },
    ]);
    expect(votes.equivalence).toBe("mathruler");
    expect([challenger.grpo, solver.grpo].map(({ lossNormalisation }) => lossNormalisation)).toEqual(
      Array(2).fill("micro-batch-mean"),
    );
  });

  it("improved is paper with the remedies that a study kept, and a guard that acts", () => {
    const paper = load("preset: paper\n");
    const improved = load("preset: improved\n");
    expect(improved).toEqual({
      ...paper,
      preset: "improved",
      challenger: {
        ...paper.challenger,
        start: "base",
        advantage: { baseline: "batch" },
        reward: { ...paper.challenger.reward, uncertainty: "window", window: [0.2, 0.9] },
        grpo: { ...paper.challenger.grpo, klWeight: 0.05, reference: "base" },
      },
      votes: { ...paper.votes, truncated: "no-vote" },
      curriculum: {
        ...paper.curriculum,
        band: [0.3, 0.9],
        filters: { ...paper.curriculum.filters, quality: true },
        deduplicate: "exact",
        excludeEarlier: true,
        confirm: { answers: 10, minShare: 0.4 },
      },
      solver: { ...paper.solver, maxUses: 2, grpo: { ...paper.solver.grpo, klWeight: 0.1 } },
      guard: {
        ...paper.guard,
        action: "rollback",
        heldOut: { ...paper.guard.heldOut, questions: 400, confirm: { answers: 10, minShare: 0 } },
      },
      schedule: { ...paper.schedule, stop: { ...paper.schedule.stop, patience: 1 } },
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
    const probes = parseConfigText("audit: { probes: { data: data.jsonl } }\n", join(dir, "r.yaml"), [
      parseOverride("--audit.probes.count=3"),
    ]).audit.probes;
    expect(probes).toEqual({ data: join(dir, "data.jsonl"), count: 3, match: "any" });
  });

  it("another kind of engine takes one option, whatever the recipe says of its own", () => {
    const text = "seed: 7\nengine: { dtype: f32, slots: 8 }\n";
    const url = parseOverride("--engine.url=https://example.org/");
    const { engine } = parseConfigText(text, "r.yaml", [parseOverride("--engine.kind=tinker"), url]);
    expect(engine).toMatchObject({
      kind: "tinker",
      url: "https://example.org/",
      apiKeyEnv: "TINKER_API_KEY",
      lora: { rank: 32, seed: 7 },
    });
    expect(() => parseConfigText(text, "r.yaml", [url])).toThrow("engine");
    const secret = parseOverride("--engine.apiKeyEnv=tml-a-key");
    expect(() => parseConfigText("engine: { kind: tinker, url: 'http://a' }\n", "r.yaml", [secret])).toThrow(
      "engine.apiKeyEnv: expected the name of a variable, not a key, got another.",
    );
    expect(() => parseConfigText("engine: { kind: tinker, url: 'http://me:tml-a-key@a' }\n", "r.yaml")).toThrow(
      /engine.url: (?!.*tml)/,
    );
  });

  it("every remedy is off in paper and released", () => {
    for (const preset of ["paper", "released"]) {
      const { challenger, curriculum, solver, schedule, roles, audit, guard } = load(`preset: ${preset}\n`);
      const { novelty, quality, prior, overlong } = challenger.reward;
      expect([novelty.weight, prior, overlong.buffer, solver.reward.overlong.buffer]).toEqual([0, { a: 0, b: 0 }, 0, 0]);
      expect(quality).toEqual({
        ownAnswer: "any",
        agreement: false,
        minTokens: 0,
        maxTokens: 0,
        promptCopy: 1,
        archiveCopy: 1,
      });
      expect([curriculum.excludeEarlier, curriculum.extraVotes.answers, curriculum.filters.quality]).toEqual([false, 0, false]);
      expect([curriculum.confirm, guard.heldOut.confirm]).toEqual([
        { answers: 0, minShare: 0 },
        { answers: 0, minShare: 0 },
      ]);
      expect([solver.maxUses, solver.replay, solver.dynamicSampling.refills, solver.reward.control]).toEqual([0, 0, 0, "none"]);
      for (const { grpo } of [challenger, solver])
        expect([grpo.estimator, grpo.loss, grpo.entropyWeight]).toEqual(["grpo", "ppo", 0]);
      expect([challenger.start, roles, audit.probes]).toEqual(["previous", "separate", undefined]);
      expect(schedule).toEqual({ warmStart: {}, stop: { keptBelow: 0, patience: 0, distinctBelow: 0 } });
    }
  });
});

describe("recipes", () => {
  it.each(recipeNames())("%s loads, and its resolved form loads to the same", (recipe) => {
    const config = loadConfig({ recipe });
    expect(config.name).toBe(recipe);
    expect(parseConfigText(stringify(config), "config.yaml")).toEqual(config);
  });

  it("tiny is the default", () => {
    expect(loadConfig().name).toBe("tiny");
  });
});
