// What a Tinker server does with what it is sent, found out on a throwaway model of a few tokens before any work: its codec, how it brings
// the losses of tokens together, whether weights keep their sign, how long its lists of prompt logprobs are, when it tells a model's id.
// Gradients are then given in the first form that is applied as it is meant. Why: docs/decisions/2026-11-21-tinker-engine.md.
// The trick: requests whose gradients cancel out under one form, and under no other, leave the weights where they were.

import type { Codec } from "../../../tinker-wire/protocol.ts";
import { encodeSample } from "../../../tinker-wire/sampling.ts";
import { ConfigError, DataError, errorText } from "../../../util/errors.ts";
import type { AdamWParams, Datum } from "../../types.ts";
import { decodePass, type LoraConfig, RemoteModel } from "./model.ts";
import {
  forwardDatum,
  GRADIENT_LOSSES,
  type GradientForm,
  type GradientLoss,
  gradientData,
  REDUCTIONS,
  type Reduction,
} from "./passes.ts";
import { RequestJournal } from "./request-journal.ts";
import { optimBody, passRequest } from "./requests.ts";
import { TinkerError } from "./retry.ts";
import type { Server } from "./server.ts";
import { sampleOnce } from "./snapshot.ts";

/** What the configuration leaves open. */
export interface ProbeWishes {
  readonly codec: Codec | "auto";
  readonly loss: GradientLoss | "auto";
  readonly reduction: Reduction | "auto";
}

/** What was found. */
export interface Findings {
  readonly codec: Codec;
  readonly form: GradientForm;
  /** Length of the prompt's logprobs for N tokens. */
  readonly promptLogprobs: "N" | "N-1" | "none";
  /** When create_model tells the id. */
  readonly modelId: "at once" | "in the result";
}

/** Two sequences of different lengths: their means and sums cannot be mistaken for each other. */
const SEQUENCES: readonly Datum[] = [
  { tokens: Int32Array.of(5, 6, 7, 8, 9), weights: Float32Array.of(0, 1, 1, 1) },
  { tokens: Int32Array.of(9, 8, 7, 6, 5, 10, 11, 12), weights: Float32Array.of(0, 1, 1, 1, 1, 1, 1) },
];
/** A gradient of both signs. */
const GRADIENT = SEQUENCES.map(({ weights }) => weights.map((weight, t) => weight * (t % 3 === 0 ? -0.5 : 1)));
/** What makes every token likelier. */
const LIKELIER = SEQUENCES.map(({ weights }) => weights.map((weight) => -weight));
/** ε is above what rounding leaves of a cancelled gradient, which AdamW would make a step of, and below a real gradient. */
const UPDATE: AdamWParams = { learningRate: 1e-3, beta1: 0.9, beta2: 0.95, epsilon: 1e-6, weightDecay: 0, clipNorm: 0 };
/** Share of a real update that rounding may leave of a cancelled one. */
const LEFT_OVER = 0.2;

/** See the file header. Errors: ConfigError when the server applies gradients in none of the forms, or speaks neither codec. */
export async function probeServer(server: Server, lora: LoraConfig, wishes: ProbeWishes): Promise<Findings> {
  const codec = await findCodec(server, lora, wishes.codec);
  server.codec = codec;
  server.connection.accept = codec;
  const mask = server.extensions.has("mask");
  const form = await findForm(server, lora, wishes, mask);
  return { codec, form, promptLogprobs: await promptLength(server), modelId: server.tellsModelId };
}

/** One line for people. */
export function describeFindings({ codec, form, promptLogprobs, modelId }: Findings): string {
  const exact = form.loss === "cross_entropy" ? "exact gradients by signed weights" : "exact gradients at ratio 1";
  return `loss ${form.loss} (${exact}), reduction ${form.reduction}, ${codec}, prompt logprobs ${promptLogprobs}, model id ${modelId}`;
}

async function findCodec(server: Server, lora: LoraConfig, wish: Codec | "auto"): Promise<Codec> {
  const problems: string[] = [];
  for (const codec of wish === "auto" ? (["json", "protobuf"] as const) : [wish]) {
    server.connection.accept = codec;
    const problem = await attempt(server, lora, (model) => forward(model, codec).then(() => undefined));
    if (problem === undefined) return codec;
    problems.push(`${codec}: ${problem}`);
  }
  throw new ConfigError(
    `engine.url: expected a server that takes a forward pass as ${wish === "auto" ? "JSON or protobuf" : wish}, got: ${problems.join("; ")}`,
  );
}

async function findForm(server: Server, lora: LoraConfig, wishes: ProbeWishes, mask: boolean): Promise<GradientForm> {
  const problems: string[] = [];
  for (const form of formsOf(wishes, mask)) {
    // What the configuration says is not doubted.
    if (wishes.loss !== "auto" && wishes.reduction !== "auto") return form;
    const problem = await attempt(server, lora, (model) => tryForm(model, server.codec, form));
    if (problem === undefined) return form;
    problems.push(`${form.loss}, ${form.reduction}: ${problem}`);
  }
  throw new ConfigError(
    `engine.url: expected a server that applies gradients as they are sent, got one that does not (${problems.join("; ")}). ` +
      "Set engine.loss and engine.reduction if you know what it does.",
  );
}

/** The forms to try, the plainest first. Weights of either sign need a server that sums. */
function formsOf({ loss, reduction }: ProbeWishes, mask: boolean): GradientForm[] {
  const losses = loss === "auto" ? GRADIENT_LOSSES : [loss];
  const reductions = reduction === "auto" ? REDUCTIONS : [reduction];
  return losses.flatMap((one) =>
    reductions
      .filter((how) => one !== "cross_entropy" || how === "sum" || reduction !== "auto")
      .map((how) => ({ loss: one, reduction: how, mask })),
  );
}

/** Does `work` with a throwaway model; what the server made of it when it was not what it should be. */
async function attempt(
  server: Server,
  lora: LoraConfig,
  work: (model: RemoteModel) => Promise<string | undefined>,
): Promise<string | undefined> {
  let model: RemoteModel | undefined;
  try {
    model = await RemoteModel.create(server, new RequestJournal(), { kind: "fresh", slot: "probe", seed: 1 }, lora);
    return await work(model);
  } catch (error) {
    const isRefusal =
      error instanceof DataError || (error instanceof TinkerError && !(error.retryable && error.status === undefined));
    if (!isRefusal) throw error;
    return errorText(error);
  } finally {
    await model?.unload();
  }
}

async function forward(model: RemoteModel, codec: Codec): Promise<number[]> {
  const data = SEQUENCES.map((datum) => forwardDatum(datum, false));
  const { path, make } = passRequest(codec, data, "cross_entropy", true);
  const { outputs } = decodePass(await (await model.ask(path, make)).result());
  return SEQUENCES.flatMap(({ weights }, i) => {
    const logprobs = outputs[i]?.logprobs?.data;
    if (logprobs?.length !== weights.length)
      throw new DataError(`forward: expected ${weights.length} logprobs, got ${logprobs?.length}.`);
    return [...logprobs].filter((_, t) => weights[t] !== 0);
  });
}

/** What is wrong with a form; nothing when gradients cancel out as they should, and an update that does not cancel moves the weights. */
async function tryForm(model: RemoteModel, codec: Codec, form: GradientForm): Promise<string | undefined> {
  const before = await forward(model, codec);
  const fields = split(before);
  const add = async (which: readonly number[], factor: number, gradient: readonly Float32Array[]) => {
    const data = gradientData(
      which.map((i) => SEQUENCES[i]),
      which.map((i) => fields[i]),
      which.map((i) => gradient[i].map((value) => value * factor)),
      form,
    );
    const { path, make } = passRequest(codec, data, form.loss, false);
    await (await model.ask(path, make)).result();
  };
  const update = async () => {
    await (await model.ask("/optim_step", optimBody(UPDATE, false))).result();
    return forward(model, codec);
  };
  await add([0, 1], 1, GRADIENT);
  await add([0], -1, GRADIENT);
  await add([1, 1], -0.5, GRADIENT);
  const after = await update();
  await add([0, 1], 1, LIKELIER);
  const moved = await update();
  const drift = distance(before, after);
  const step = distance(after, moved);
  const rise = moved.reduce((sum, value, i) => sum + value - after[i], 0);
  if (!Number.isFinite(step) || !(step > 0) || !(rise > 0))
    return `an update moved the logprobs by ${step.toPrecision(3)}, the wrong way`;
  return drift <= LEFT_OVER * step ? undefined : `gradients that cancel out moved the logprobs by ${drift.toPrecision(3)}`;
}

/** Logprobs of the trained tokens, one after the other, as fields of the sequences. */
function split(logprobs: readonly number[]): Float32Array[] {
  let next = 0;
  return SEQUENCES.map(({ weights }) => weights.map((weight) => (weight === 0 ? 0 : logprobs[next++])));
}

function distance(a: readonly number[], b: readonly number[]): number {
  return a.reduce((most, value, i) => Math.max(most, Math.abs(value - b[i])), 0);
}

async function promptLength(server: Server): Promise<Findings["promptLogprobs"]> {
  const prompt = SEQUENCES[0].tokens;
  const params = { maxTokens: 1, temperature: 1, seed: 0 };
  const target = { baseModel: server.model };
  try {
    const content = encodeSample({ target, prompt, numSamples: 1, params, promptLogprobs: true, topkPromptLogprobs: 0 });
    const { promptLogprobs } = await sampleOnce(server, content);
    if (promptLogprobs?.length === prompt.length) return "N";
    return promptLogprobs?.length === prompt.length - 1 ? "N-1" : "none";
  } catch (error) {
    if (error instanceof TinkerError || error instanceof DataError) return "none";
    throw error;
  }
}
