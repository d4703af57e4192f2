// Requests and answers of one model that more than one caller needs: passes over data, updates, logprobs. Knows no state.

import type { Codec } from "../../../tinker-wire/protocol.ts";
import { encodeForwardBackward, type ForwardBackwardRequest, type WireDatum } from "../../../tinker-wire/training.ts";
import { encodeForwardBackwardProto } from "../../../tinker-wire/training-protobuf.ts";
import { EngineError } from "../../../util/errors.ts";
import type { AdamWParams } from "../../types.ts";
import { type Body, jsonBody } from "./connection.ts";
import type { MakeBody } from "./model.ts";

/** A forward or forward_backward in a codec. In JSON the path says which, in protobuf the message. */
export function passRequest(
  codec: Codec,
  data: readonly WireDatum[],
  lossFn: string,
  forwardOnly: boolean,
): { path: string; make: MakeBody } {
  const request = (modelId: string, seqId: number): ForwardBackwardRequest => ({ modelId, seqId, data, lossFn, forwardOnly });
  if (codec === "protobuf")
    return {
      path: "/forward_backward",
      make: (id, seq): Body => ({ content: encodeForwardBackwardProto(request(id, seq)), codec }),
    };
  return {
    path: forwardOnly ? "/forward" : "/forward_backward",
    make: (id, seq): Body => ({ content: encodeForwardBackward(request(id, seq)), codec }),
  };
}

/** Copies the logprobs where there are weights. Errors: EngineError when there are not as many as targets. */
export function fillLogprobs(out: Float32Array, logprobs: ArrayLike<number> | undefined, weights: Float32Array): void {
  if (logprobs?.length !== weights.length)
    throw new EngineError(`/forward: expected ${weights.length} logprobs, got ${logprobs?.length ?? "none"}.`);
  for (let t = 0; t < weights.length; t++) if (weights[t] !== 0) out[t] = logprobs[t];
}

/** A body of /optim_step; `exact` where the server takes the bound of the norm. */
export function optimBody(params: AdamWParams, exact: boolean): MakeBody {
  const { learningRate, beta1, beta2, epsilon, weightDecay, clipNorm, skipAbove } = params;
  const bound = exact && skipAbove !== undefined ? { skip_above: Math.min(skipAbove, Number.MAX_VALUE) } : {};
  const adam_params = {
    learning_rate: learningRate,
    beta1,
    beta2,
    eps: epsilon,
    weight_decay: weightDecay,
    grad_clip_norm: clipNorm,
    ...bound,
  };
  return (model_id, seq_id) => jsonBody({ model_id, seq_id, adam_params, type: "optim_step" });
}
