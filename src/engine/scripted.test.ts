// The scripted engine keeps the contract and records its calls.

import { expect, it } from "vitest";
import { engineContract, samplingParams } from "../../test/contract/engine-contract.ts";
import { ScriptedEngine } from "./scripted.ts";

const LETTERS = "abcdefghijklmnopqrstuvwxyz";

const prompts = ["What is 2+2?", "Name a prime.", "x"].map((text) => ({
  tokens: Int32Array.from(text, (character) => character.codePointAt(0)!),
}));

engineContract("scripted", {
  create: () => new ScriptedEngine(({ rng }) => Array.from({ length: 20 }, () => rng.pick([...LETTERS])).join("")),
  dir: "nowhere",
  prompts,
  stopTokens: [0],
});

it("hands the script what it needs and records calls", async () => {
  const engine = new ScriptedEngine(({ text, sample, version }) => `${text} -> ${sample} at ${version}`);
  const trainer = await engine.openTrainer("base");
  await trainer.optimStep({ learningRate: 1, beta1: 0, beta2: 0, epsilon: 0, weightDecay: 0, clipNorm: 0 });
  const snapshot = await trainer.snapshot();
  const params = samplingParams({ n: 2, maxTokens: 100, stopTokens: [0] });
  const [group] = await snapshot.sample([prompts[2]], params);
  expect(group.map((completion) => completion.text)).toEqual(["x -> 0 at 1", "x -> 1 at 1"]);
  expect(group[0].tokens.at(-1)).toBe(0);
  expect(group[0].stopReason).toBe("stop");
  const [[cut]] = await snapshot.sample([prompts[2]], { ...params, stopStrings: [" at"] });
  expect([cut.text, cut.stopReason]).toEqual(["x -> 0", "stop"]);
  expect(engine.calls.map((call) => call.kind)).toEqual(["optimStep", "sample", "sample"]);
  expect(engine.calls[1]).toMatchObject({ dir: "base", version: 1, params });
});
