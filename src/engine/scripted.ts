// An engine whose completions come from a script instead of a model: for tests of the layers above, without weights. It
// keeps the contract of engine/types.ts (same seed, same tokens; sampling logprobs = training logprobs; resumable state)
// and records what it was asked. Tokens are Unicode code points; 0 ends a completion.

import { mkdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { CheckpointError, EngineError } from "../util/errors.ts";
import { hashTokens, type Rng, rngFrom } from "../util/rng.ts";
import type {
  AdamWParams,
  ChatMessage,
  Completion,
  Datum,
  Engine,
  LossFn,
  Metrics,
  Progress,
  Prompt,
  SamplingParams,
  Snapshot,
  StepStats,
  Tokenizer,
  Trainer,
} from "./types.ts";

/** What a script knows when it writes a completion. */
export interface ScriptContext {
  readonly prompt: Prompt;
  /** The prompt as text. */
  readonly text: string;
  /** Index of the sample within its prompt. */
  readonly sample: number;
  readonly params: SamplingParams;
  /** Draws of this completion alone: a function of seed, prompt and sample. */
  readonly rng: Rng;
  /** Directory the weights were opened from, and optimizer steps they have seen. */
  readonly dir: string;
  readonly version: number;
}

/** Text of a completion (a stop token follows when one was asked for), or its tokens as they are. */
export type Script = (context: ScriptContext) => string | Int32Array;

/** One call that reached the engine, for assertions. */
export type ScriptedCall =
  | {
      readonly kind: "sample";
      readonly dir: string;
      readonly version: number;
      readonly prompts: readonly Prompt[];
      readonly params: SamplingParams;
    }
  | {
      readonly kind: "score";
      readonly dir: string;
      readonly version: number;
      readonly data: readonly Pick<Datum, "tokens" | "weights">[];
    }
  | {
      readonly kind: "forwardBackward";
      readonly dir: string;
      readonly version: number;
      readonly data: readonly Datum[];
      readonly metrics: Metrics;
    }
  | { readonly kind: "optimStep"; readonly dir: string; readonly version: number; readonly params: AdamWParams }
  | {
      readonly kind: "resetOptimizer" | "saveState" | "loadState" | "exportModel";
      readonly dir: string;
      readonly version: number;
    };

const STOP = 0;
const VOCABULARY = 0x110000;

/** Code points as tokens; chat prompts are `role: content` lines. */
export class ScriptedTokenizer implements Tokenizer {
  readonly stopTokens: readonly number[] = [STOP];
  readonly vocabSize = VOCABULARY;

  encode(text: string): Int32Array {
    return Int32Array.from(text, (character) => character.codePointAt(0)!);
  }

  decode(tokens: ArrayLike<number>): string {
    return Array.from(tokens, (token) => (token === STOP ? "" : String.fromCodePoint(token))).join("");
  }

  renderChat(messages: readonly ChatMessage[]): string {
    return messages.map(({ role, content }) => `${role}: ${content}`).join("\n");
  }
}

/** See the file header. `calls` lists all calls in order. */
export class ScriptedEngine implements Engine {
  readonly calls: ScriptedCall[] = [];
  readonly tokenizer = new ScriptedTokenizer();
  readonly script: Script;

  constructor(script: Script) {
    this.script = script;
  }

  async openSnapshot(dir: string): Promise<Snapshot> {
    return new ScriptedSnapshot(this, dir, 0);
  }

  async openTrainer(dir: string): Promise<Trainer> {
    return new ScriptedTrainer(this, dir);
  }

  async openTokenizer(): Promise<Tokenizer> {
    return this.tokenizer;
  }

  async dispose(): Promise<void> {}
}

/** The logprob of a token: a fixed function of weights and everything before it, in [-4, 0). */
function logprobAt(dir: string, version: number, tokens: Int32Array, index: number): number {
  const key = hashTokens(tokens.subarray(0, index + 1));
  return Math.fround(-4 * (1 - rngFrom(version, "logprob", dir, key.low, key.high).next()));
}

function logprobsOf(dir: string, version: number, { tokens, weights }: Pick<Datum, "tokens" | "weights">): Float32Array {
  return weights.map((weight, t) => (weight === 0 ? 0 : logprobAt(dir, version, tokens, t + 1)));
}

function addLoss(totals: Metrics, { loss, metrics }: ReturnType<LossFn>): void {
  for (const [name, value] of Object.entries({ ...metrics, loss })) totals[name] = (totals[name] ?? 0) + value;
}

class ScriptedSnapshot implements Snapshot {
  readonly #engine: ScriptedEngine;
  readonly #dir: string;
  readonly #version: number;
  #disposed = false;

  constructor(engine: ScriptedEngine, dir: string, version: number) {
    this.#engine = engine;
    this.#dir = dir;
    this.#version = version;
  }

  async sample(prompts: readonly Prompt[], params: SamplingParams, on?: Progress): Promise<Completion[][]> {
    this.#assertOpen();
    this.#engine.calls.push({ kind: "sample", dir: this.#dir, version: this.#version, prompts, params });
    const first = params.firstSample ?? 0;
    const groups = prompts.map((prompt) => Array.from({ length: params.n }, (_, k) => this.#complete(prompt, first + k, params)));
    const total = prompts.length * params.n;
    on?.(
      total,
      total,
      groups.flat().reduce((sum, { tokens }) => sum + tokens.length, 0),
    );
    return groups;
  }

  async logprobs(data: readonly Pick<Datum, "tokens" | "weights">[]): Promise<Float32Array[]> {
    this.#assertOpen();
    this.#engine.calls.push({ kind: "score", dir: this.#dir, version: this.#version, data });
    return data.map((datum) => logprobsOf(this.#dir, this.#version, datum));
  }

  async dispose(): Promise<void> {
    this.#disposed = true;
  }

  #assertOpen(): void {
    if (this.#disposed) throw new EngineError("engine: expected an open model, got one that was disposed.");
  }

  #complete(prompt: Prompt, sample: number, params: SamplingParams): Completion {
    const { tokenizer, script } = this.#engine;
    const key = hashTokens(prompt.tokens);
    const greedy = params.temperature === 0;
    const rng = rngFrom(greedy ? 0 : params.seed, "script", key.low, key.high, greedy ? 0 : sample);
    const text = tokenizer.decode(prompt.tokens);
    const written = script({ prompt, text, sample, params, rng, dir: this.#dir, version: this.#version });
    const ending = typeof written === "string" && params.stopTokens.includes(STOP) ? [STOP] : [];
    const drawn = typeof written === "string" ? tokenizer.encode(written) : written;
    const all = Int32Array.from([...(params.forcedPrefix ?? []), ...drawn, ...ending]);
    return this.#cut(prompt, all, params);
  }

  /** Applies stop tokens, stop strings and maxTokens to what the script wrote. */
  #cut(prompt: Prompt, written: Int32Array, params: SamplingParams): Completion {
    const { tokenizer } = this.#engine;
    const forced = params.forcedPrefix?.length ?? 0;
    let count = 0;
    let stop: "token" | "string" | undefined;
    let stopAt = -1;
    while (count < Math.min(written.length, params.maxTokens) && stop === undefined) {
      const token = written[count++];
      if (count <= forced) continue;
      const text = tokenizer.decode(written.subarray(0, count));
      const found = (params.stopStrings ?? []).map((string) => text.indexOf(string)).filter((at) => at >= 0);
      if (params.stopTokens.includes(token)) stop = "token";
      else if (found.length > 0) [stop, stopAt] = ["string", Math.min(...found)];
    }
    const tokens = written.slice(0, count);
    const whole = Int32Array.from([...prompt.tokens, ...tokens]);
    const logprobs = Float32Array.from(tokens, (_, i) => logprobAt(this.#dir, this.#version, whole, prompt.tokens.length + i));
    const text = tokenizer.decode(stop === "token" ? tokens.subarray(0, count - 1) : tokens);
    return {
      tokens,
      logprobs,
      text: stop === "string" ? text.slice(0, stopAt) : text,
      stopReason: stop === undefined ? "length" : "stop",
    };
  }
}

class ScriptedTrainer implements Trainer {
  readonly #engine: ScriptedEngine;
  readonly #dir: string;
  #version = 0;
  #squaredGradient = 0;

  constructor(engine: ScriptedEngine, dir: string) {
    this.#engine = engine;
    this.#dir = dir;
  }

  async forwardBackward(data: readonly Datum[], loss: LossFn): Promise<Metrics> {
    const metrics: Metrics = { loss: 0 };
    for (const datum of data) {
      const result = loss(logprobsOf(this.#dir, this.#version, datum), datum);
      addLoss(metrics, result);
      for (const gradient of result.dLogprobs) this.#squaredGradient += gradient * gradient;
    }
    this.#engine.calls.push({ kind: "forwardBackward", dir: this.#dir, version: this.#version, data, metrics });
    return metrics;
  }

  async optimStep(params: AdamWParams): Promise<StepStats> {
    this.#engine.calls.push({ kind: "optimStep", dir: this.#dir, version: this.#version, params });
    const gradNorm = Math.sqrt(this.#squaredGradient);
    this.#squaredGradient = 0;
    const applied = gradNorm <= (params.skipAbove ?? Number.POSITIVE_INFINITY) && Number.isFinite(gradNorm);
    if (!applied && params.skipAbove === undefined)
      throw new EngineError(`optimizer step: expected a finite gradient norm, got ${gradNorm}.`);
    if (applied) this.#version += 1;
    return { gradNorm, applied };
  }

  async resetOptimizer(): Promise<void> {
    this.#record("resetOptimizer", this.#dir);
  }

  async snapshot(): Promise<Snapshot> {
    return new ScriptedSnapshot(this.#engine, this.#dir, this.#version);
  }

  async saveState(dir: string): Promise<void> {
    this.#record("saveState", dir);
    await mkdir(dir, { recursive: true });
    await writeFile(join(dir, "scripted-state.json"), JSON.stringify({ version: this.#version }));
  }

  async loadState(dir: string): Promise<void> {
    const text = await readFile(join(dir, "scripted-state.json"), "utf8").catch(() => {
      throw new CheckpointError(`${dir}: expected scripted-state.json, got none.`);
    });
    this.#version = JSON.parse(text).version;
    this.#squaredGradient = 0;
    this.#record("loadState", dir);
  }

  async exportModel(dir: string): Promise<void> {
    this.#record("exportModel", dir);
    await mkdir(dir, { recursive: true });
    await writeFile(join(dir, "scripted-model.json"), JSON.stringify({ from: this.#dir, version: this.#version }));
  }

  async dispose(): Promise<void> {}

  #record(kind: "resetOptimizer" | "saveState" | "loadState" | "exportModel", dir: string): void {
    this.#engine.calls.push({ kind, dir, version: this.#version });
  }
}
