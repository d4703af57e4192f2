// What every engine keeps, as tests over its three faces. Runs over any engine that opens `dir`; knows no kind.

import { mkdtempSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type {
  AdamWParams,
  Completion,
  Datum,
  Engine,
  LossFn,
  Prompt,
  SamplingParams,
  Snapshot,
  Trainer,
} from "../../src/engine/types.ts";
import { CheckpointError, EngineError } from "../../src/util/errors.ts";

/** What the contract needs of an engine. */
export interface EngineUnderTest {
  create(): Engine;
  readonly dir: string;
  readonly prompts: readonly Prompt[];
  readonly stopTokens: readonly number[];
}

/** Sampling as the contract does it; changed per test. */
export function samplingParams(changes: Partial<SamplingParams> = {}): SamplingParams {
  return { n: 3, maxTokens: 16, temperature: 1, topP: 1, topK: 0, stopTokens: [], seed: 3, ...changes };
}

/** Negative log-likelihood with the datum's weights. */
export const nll: LossFn = (logprobs, { weights }) => {
  let loss = 0;
  for (let t = 0; t < weights.length; t++) loss -= weights[t] * logprobs[t];
  return { loss, dLogprobs: weights.map((weight) => -weight), metrics: { tokens: weights.filter((w) => w !== 0).length } };
};

/** Prompt and completion as one training sequence; only the completion has weights. */
export function datumOf(prompt: Prompt, completion: Completion, weight = 1): Datum {
  const tokens = Int32Array.from([...prompt.tokens, ...completion.tokens]);
  return { tokens, weights: new Float32Array(tokens.length - 1).fill(weight, prompt.tokens.length - 1) };
}

export const adamW: AdamWParams = {
  learningRate: 1e-3,
  beta1: 0.9,
  beta2: 0.99,
  epsilon: 1e-8,
  weightDecay: 0.01,
  clipNorm: 1,
};

const bits = (groups: Completion[][]) =>
  groups.map((group) => group.map((c) => ({ ...c, tokens: [...c.tokens], logprobs: [...c.logprobs] })));

/** Registers the contract's tests for one engine. */
export function engineContract(name: string, subject: EngineUnderTest): void {
  describe(`engine contract: ${name}`, () => {
    let engine: Engine;
    let snapshot: Snapshot;
    let trainer: Trainer;
    const { dir, prompts, stopTokens } = subject;

    beforeAll(async () => {
      engine = subject.create();
      snapshot = await engine.openSnapshot(dir);
      trainer = await engine.openTrainer(dir);
    });
    afterAll(() => engine.dispose());

    it("returns n completions per prompt, the same for the same seed, others for another", async () => {
      const first = await snapshot.sample(prompts, samplingParams());
      expect(first.map((group) => group.length)).toEqual(prompts.map(() => 3));
      expect(bits(await snapshot.sample(prompts, samplingParams()))).toEqual(bits(first));
      expect(bits(await snapshot.sample(prompts, samplingParams({ seed: 4 })))).not.toEqual(bits(first));
    });

    it("gives each prompt the same completions in any order, alone, and sample by sample", async () => {
      const all = bits(await snapshot.sample(prompts, samplingParams()));
      const reversed = bits(await snapshot.sample([...prompts].reverse(), samplingParams()));
      expect(reversed.reverse()).toEqual(all);
      const [alone] = bits(await snapshot.sample([prompts[1]], samplingParams()));
      expect(alone).toEqual(all[1]);
      for (let k = 0; k < 3; k++) {
        const single = bits(await snapshot.sample(prompts, samplingParams({ n: 1, firstSample: k })));
        expect(single.map((group) => group[0])).toEqual(all.map((group) => group[k]));
      }
    });

    it("draws equal completions at temperature 0", async () => {
      const [group] = await snapshot.sample([prompts[0]], samplingParams({ temperature: 0 }));
      expect([...group[1].tokens]).toEqual([...group[0].tokens]);
      const [other] = await snapshot.sample([prompts[0]], samplingParams({ temperature: 0, seed: 77 }));
      expect([...other[0].tokens]).toEqual([...group[0].tokens]);
    });

    it("keeps to maxTokens and tells why it stopped", async () => {
      const groups = await snapshot.sample(prompts, samplingParams({ maxTokens: 4, stopTokens }));
      for (const completion of groups.flat()) {
        expect(completion.tokens.length).toBeLessThanOrEqual(4);
        expect(completion.logprobs.length).toBe(completion.tokens.length);
        const stopped = stopTokens.includes(completion.tokens.at(-1)!);
        expect(completion.stopReason).toBe(stopped ? "stop" : "length");
      }
    });

    it("stops at a token, which is the last of tokens and not in text", async () => {
      const [[free]] = await snapshot.sample([prompts[0]], samplingParams({ n: 1, maxTokens: 12 }));
      const stop = free.tokens[5];
      const [[stopped]] = await snapshot.sample([prompts[0]], samplingParams({ n: 1, maxTokens: 12, stopTokens: [stop] }));
      const at = free.tokens.indexOf(stop);
      expect([...stopped.tokens]).toEqual([...free.tokens.subarray(0, at + 1)]);
      expect(stopped.stopReason).toBe("stop");
      const tokenizer = await engine.openTokenizer(dir);
      expect(stopped.text).toBe(tokenizer.decode(free.tokens.subarray(0, at)));
    });

    it("begins with the forced prefix and counts it", async () => {
      const forcedPrefix = [40, 41, 42];
      const groups = await snapshot.sample(prompts, samplingParams({ forcedPrefix, maxTokens: 8 }));
      for (const completion of groups.flat()) {
        expect([...completion.tokens.subarray(0, 3)]).toEqual(forcedPrefix);
        expect(completion.tokens.length).toBeLessThanOrEqual(8);
      }
    });

    it("reports progress up to the total", async () => {
      const reports: number[][] = [];
      const groups = await snapshot.sample(prompts, samplingParams(), (...report) => reports.push(report));
      const tokens = groups.flat().reduce((sum, completion) => sum + completion.tokens.length, 0);
      expect(reports.at(-1)).toEqual([prompts.length * 3, prompts.length * 3, tokens]);
    });

    for (const change of [{}, { temperature: 0.7, topP: 0.9 }, { temperature: 1.3, topK: 20 }, { forcedPrefix: [40, 41] }]) {
      it(`has sampling logprobs equal to training logprobs to the bit, with ${JSON.stringify(change)}`, async () => {
        const groups = await snapshot.sample(prompts, samplingParams({ ...change, stopTokens }));
        const data = prompts.flatMap((prompt, i) => groups[i].map((completion) => datumOf(prompt, completion)));
        const sampled = groups.flat().map((completion) => [...completion.logprobs]);
        const scored = await snapshot.logprobs(data);
        const trained: number[][] = [];
        await trainer.forwardBackward(data, (logprobs, datum) => {
          trained.push([...logprobs]);
          return { loss: 0, dLogprobs: new Float32Array(datum.weights.length), metrics: {} };
        });
        data.forEach((datum, i) => {
          const from = datum.weights.findIndex((weight) => weight !== 0);
          expect([...scored[i]].slice(from)).toEqual(sampled[i]);
          expect(trained[i].slice(from)).toEqual(sampled[i]);
          expect(trained[i].slice(0, from)).toEqual(new Array(from).fill(0));
        });
      });
    }

    it("sums losses and metrics over data, and training changes the weights but no snapshot", async () => {
      const learner = await engine.openTrainer(dir);
      const before = await learner.snapshot();
      const groups = await before.sample(prompts, samplingParams({ n: 1 }));
      const data = prompts.map((prompt, i) => datumOf(prompt, groups[i][0], 0.01));
      const scores = await before.logprobs(data);
      const metrics = await learner.forwardBackward(data, nll);
      const loss = data.reduce((sum, datum, i) => sum + nll(scores[i], datum).loss, 0);
      expect(metrics.loss).toBe(loss);
      expect(metrics.tokens).toBe(data.reduce((sum, { weights }) => sum + weights.filter((w) => w !== 0).length, 0));
      const { gradNorm } = await learner.optimStep(adamW);
      expect(gradNorm).toBeGreaterThan(0);
      expect((await learner.optimStep(adamW)).gradNorm).toBe(0);
      const after = await learner.snapshot();
      expect((await before.logprobs(data)).map((row) => [...row])).toEqual(scores.map((row) => [...row]));
      expect((await after.logprobs(data)).map((row) => [...row])).not.toEqual(scores.map((row) => [...row]));
      await Promise.all([before.dispose(), after.dispose(), learner.dispose()]);
    });

    it("resumes from saved state to the same bits", async () => {
      const step = async (t: Trainer, data: Datum[]) => {
        const { loss } = await t.forwardBackward(data, nll);
        return [loss, (await t.optimStep(adamW)).gradNorm];
      };
      const groups = await snapshot.sample(prompts, samplingParams({ n: 2 }));
      const data = prompts.flatMap((prompt, i) => groups[i].map((completion) => datumOf(prompt, completion, 0.02)));
      const state = join(mkdtempSync(join(tmpdir(), "rzero-state-")), "state");
      const one = await engine.openTrainer(dir);
      await step(one, data);
      await one.saveState(state);
      const uninterrupted = [await step(one, data), await step(one, data)];
      const two = await engine.openTrainer(dir);
      await two.loadState(state);
      expect([await step(two, data), await step(two, data)]).toEqual(uninterrupted);
      const [a, b] = await Promise.all([one, two].map(async (t) => (await t.snapshot()).logprobs(data)));
      expect(b.map((row) => [...row])).toEqual(a.map((row) => [...row]));
      await expect(two.loadState(join(state, "missing"))).rejects.toThrow(CheckpointError);
      await Promise.all([one.dispose(), two.dispose()]);
    });

    it("refuses a disposed snapshot", async () => {
      const gone = await engine.openSnapshot(dir);
      await gone.dispose();
      await expect(gone.sample(prompts, samplingParams())).rejects.toThrow(EngineError);
    });
  });
}
