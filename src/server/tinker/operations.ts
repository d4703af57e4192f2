// What a model of a Tinker server can be asked, read from a body and checked. Knows the wire's messages, no model.

import type { AdamWParams } from "../../engine/types.ts";
import {
  loadWeightsRequest,
  modelRequest,
  optimStepRequest,
  parseRequest,
  saveForSamplerRequest,
  saveWeightsRequest,
} from "../../tinker-wire/messages.ts";
import type { Codec } from "../../tinker-wire/protocol.ts";
import { decodeForwardBackward, type ForwardBackwardRequest } from "../../tinker-wire/training.ts";
import { decodeForwardBackwardProto } from "../../tinker-wire/training-protobuf.ts";
import { DataError } from "../../util/errors.ts";
import { type DataLimits, type TrainingPass, trainingPass } from "./training-data.ts";
import type { TrainingKind } from "./training-journal.ts";

/** A checked request of one model. */
export type Operation =
  | { readonly kind: "create_model" | "unload_model" }
  | ({ readonly kind: "forward" | "forward_backward" } & TrainingPass)
  | { readonly kind: "optim_step"; readonly params: AdamWParams; readonly mayBeSkipped: boolean }
  | { readonly kind: "save_weights"; readonly name?: string; readonly ttlSeconds?: number; readonly overwrite: boolean }
  | {
      readonly kind: "save_weights_for_sampler";
      readonly name?: string;
      readonly ttlSeconds?: number;
      /** Present: a sampling session is wanted, not a path. */
      readonly sessionSeq?: number;
    }
  | { readonly kind: "load_weights"; readonly path: string; readonly optimizer: boolean };

/** Which model a request is about. */
export type ModelAddress = { readonly modelId: string } | { readonly sessionId: string; readonly modelSeq: number };

/** A request with its address and its number. */
export interface Asked {
  readonly model: ModelAddress;
  readonly seq?: number;
  /** Checks it fully; only an accepted request pays for that. Errors: DataError. */
  operation(limits: DataLimits): Operation;
}

/** Reads the body of a request. Errors: DataError naming the field. */
export function readAsked(kind: TrainingKind, body: Uint8Array, codec: Codec): Asked {
  switch (kind) {
    case "forward":
    case "forward_backward":
      return askedPass(codec === "protobuf" ? decodeForwardBackwardProto(body) : decodeForwardBackward(body, kind === "forward"));
    case "optim_step":
      return askedStep(body);
    case "save_weights": {
      const { model_id, seq_id, path, ttl_seconds, overwrite = false } = parseRequest(saveWeightsRequest, body);
      return asked(model_id, seq_id, { kind, name: path, ttlSeconds: ttl_seconds, overwrite });
    }
    case "save_weights_for_sampler": {
      const { model_id, seq_id, path, ttl_seconds, sampling_session_seq_id } = parseRequest(saveForSamplerRequest, body);
      return asked(model_id, seq_id, { kind, name: path, ttlSeconds: ttl_seconds, sessionSeq: sampling_session_seq_id });
    }
    case "load_weights":
      return askedLoad(body);
    case "unload_model":
      return asked(parseRequest(modelRequest, body).model_id, undefined, { kind });
    case "create_model":
      return asked("", undefined, { kind });
  }
}

function asked(modelId: string, seq: number | undefined, operation: Operation): Asked {
  return { model: { modelId }, seq, operation: () => operation };
}

function askedPass(request: ForwardBackwardRequest): Asked {
  const kind = request.forwardOnly ? "forward" : "forward_backward";
  return {
    model: { modelId: request.modelId },
    seq: request.seqId,
    operation: (limits) => ({ kind, ...trainingPass(request, limits) }),
  };
}

function askedStep(body: Uint8Array): Asked {
  const { model_id, seq_id, adam_params } = parseRequest(optimStepRequest, body);
  const { learning_rate, beta1, beta2, eps, weight_decay, grad_clip_norm, skip_above } = adam_params;
  const inside = (name: string, value: number, low: number, high: number) => {
    if (!(value >= low && value <= high))
      throw new DataError(`body.adam_params.${name}: expected a number from ${low} to ${high}, got ${value}.`);
  };
  inside("learning_rate", learning_rate, 0, 1e6);
  inside("beta1", beta1, 0, 1 - Number.EPSILON);
  inside("beta2", beta2, 0, 1 - Number.EPSILON);
  inside("eps", eps, 0, 1e6);
  inside("weight_decay", weight_decay, 0, 1e6);
  inside("grad_clip_norm", grad_clip_norm, 0, Number.MAX_VALUE);
  const params: AdamWParams = {
    learningRate: learning_rate,
    beta1,
    beta2,
    epsilon: eps,
    weightDecay: weight_decay,
    clipNorm: grad_clip_norm,
    // A norm that is not finite drops the gradient instead of failing half-way: the same when it is run again.
    skipAbove: skip_above ?? Number.MAX_VALUE,
  };
  return asked(model_id, seq_id, { kind: "optim_step", params, mayBeSkipped: skip_above !== undefined });
}

function askedLoad(body: Uint8Array): Asked {
  const { model_id, session_id, model_seq_id, seq_id, path, optimizer } = parseRequest(loadWeightsRequest, body);
  const operation: Operation = { kind: "load_weights", path, optimizer };
  if (model_id !== undefined) return asked(model_id, seq_id, operation);
  if (session_id === undefined || model_seq_id === undefined)
    throw new DataError("body: expected model_id, or session_id and model_seq_id, got neither.");
  return { model: { sessionId: session_id, modelSeq: model_seq_id }, seq: seq_id, operation: () => operation };
}
