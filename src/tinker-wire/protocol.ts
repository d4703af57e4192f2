// The Tinker training protocol as both our client and our server speak it: addresses, headers, limits, and the extensions by which
// rzero's own server does what the protocol has no words for. Knows no transport, no engine and no model.
// Source: the public `tinker` SDK 0.25.0 and SkyRL's open server (mid-2026).

/** Every path begins with it. */
export const API_PREFIX = "/api/v1";

/** Where the key of the account stands. */
export const KEY_HEADER = "x-api-key";

/** Media types of the two codecs. A future's result is protobuf only when the request's Accept names it. */
export const MEDIA_TYPES = { json: "application/json", protobuf: "application/x-protobuf" } as const;
export type Codec = keyof typeof MEDIA_TYPES;

/** Largest body that is parsed, in bytes, in either direction. */
export const MAX_BODY_BYTES = 128 * 2 ** 20;
/** Largest numbers of things in one body; a tensor may hold as many elements as a datum may have tokens. */
export const MAX_DATA = 16_384;
export const MAX_TOKENS = 2 ** 20;
export const MAX_ELEMENTS = 2 ** 24;
export const MAX_SAMPLES = 4096;
export const MAX_NAMES = 64;

/**
 * What a server may announce in its reply to /client/config, as `rzero_extensions`; clients send none of it to others.
 *
 * `mask`: `loss_fn_inputs.mask` (float32) of forward and forward_backward with `cross_entropy`. Logprobs are computed where it is not 0
 *   and are 0 elsewhere; the batch is laid out by it instead of by `weights`. So a token whose gradient happens to be 0 changes no sum's
 *   order, and gradients equal those of the embedded engine to the bit.
 * `first_sample`: `sampling_params.first_sample`, the index of the first of `num_samples` (SamplingParams.firstSample).
 * `forced_prefix`: `sampling_params.forced_prefix`, token ids every sequence begins with (SamplingParams.forcedPrefix).
 * `skip_above`: `adam_params.skip_above` (AdamWParams.skipAbove; no bound but finite: the largest double). The reply's metrics tell
 *   `rzero/applied`, 0 or 1.
 *
 * A server with extensions also promises: a sample depends on (seed, prompt, index) alone, index = first_sample + place in the reply;
 * optim_step replies with the metric `rzero/grad_norm`; rank 0 trains all weights; alpha is 32; A is drawn from `seed`.
 */
export const EXTENSIONS = ["mask", "first_sample", "forced_prefix", "skip_above"] as const;
export type Extension = (typeof EXTENSIONS)[number];

/** Metrics of our server's optim_step. */
export const GRAD_NORM_METRIC = "rzero/grad_norm";
export const APPLIED_METRIC = "rzero/applied";

/** Scale of every adapter on a Tinker server; the protocol does not carry it. */
export const LORA_ALPHA = 32;
