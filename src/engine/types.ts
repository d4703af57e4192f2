// The three faces of an engine: Sampler, Scorer, Trainer. An engine knows nothing of roles, rewards or R-Zero;
// the loop knows nothing of devices or HTTP. These are the primitives of the Tinker protocol (sample,
// forward_backward, optim_step, save_state), so one seam serves the local engine and clusters.
// Suffix legend: _T token of a sequence of N tokens; logprobs_T[i] belongs to tokens[i + 1], so its length is N - 1.

/** Rendered input of a model: token ids. */
export interface Prompt {
  readonly tokens: Int32Array;
}

/** How to sample. Logprobs returned are always raw: before temperature and filters. */
export interface SamplingParams {
  /** Completions per prompt, at least 1. */
  readonly n: number;
  /** Largest number of new tokens per completion. */
  readonly maxTokens: number;
  /** Softmax temperature; 0 is greedy (ties go to the lowest token id). */
  readonly temperature: number;
  /** Nucleus mass in (0, 1]; 1 switches it off. */
  readonly topP: number;
  /** Keep the k likeliest tokens; 0 switches it off. */
  readonly topK: number;
  /** Token ids that end a completion; the stop token is part of `tokens` and of `logprobs`. */
  readonly stopTokens: readonly number[];
  /** Strings that end a completion when they appear in its decoded text; they stay in `tokens`, not in `text`. */
  readonly stopStrings?: readonly string[];
  /** Counter-based seed: a completion depends on (seed, prompt tokens, sample index) alone. */
  readonly seed: number;
  /** Index of the first sample (default 0), so that later calls draw further samples of the same prompt. */
  readonly firstSample?: number;
  /** Tokens every completion is forced to begin with; they are part of `tokens`, with their logprobs. */
  readonly forcedPrefix?: readonly number[];
}

/** One sampled continuation. */
export interface Completion {
  /** Sampled token ids, the stop token included. */
  readonly tokens: Int32Array;
  /** Raw logprob of each token under the sampling weights (nats); same length as `tokens`. */
  readonly logprobs: Float32Array;
  /** Decoded text without special tokens' stop marker; cut before a stop string. */
  readonly text: string;
  /** `stop`: a stop token or string ended it; `length`: it hit maxTokens or the model's context. */
  readonly stopReason: "stop" | "length";
}

/** Called now and then during sampling: completions done, of how many, tokens drawn so far. */
export type Progress = (done: number, total: number, tokens: number) => void;

export interface Sampler {
  /** Calls that are worth having under way at once, so that nothing idles at the end of each; default 1. */
  readonly overlap?: number;
  /** Returns one array of `params.n` completions per prompt, in order. Errors: EngineError. */
  sample(prompts: readonly Prompt[], params: SamplingParams, on?: Progress): Promise<Completion[][]>;
}

/** One training sequence with its per-token fields; every field has tokens.length - 1 entries. */
export interface Datum {
  readonly tokens: Int32Array;
  /**
   * Loss mask times normalisation: the loss is sum_T weights_T * f(logprob_T). 0 means not trained; the engine may
   * then leave that logprob at 0. All normalisation enters here, so micro-batching can never change a gradient.
   */
  readonly weights: Float32Array;
  readonly advantages?: Float32Array;
  readonly samplingLogprobs?: Float32Array;
  readonly referenceLogprobs?: Float32Array;
}

export interface Scorer {
  /** Logprob of each token given those before it; one Float32Array of N - 1 per datum. Where weights are 0 it may be 0. */
  logprobs(data: readonly Pick<Datum, "tokens" | "weights">[]): Promise<Float32Array[]>;
}

/** Named sums or means; the loss says which. Keys are declared by the caller. */
export type Metrics = Record<string, number>;

/** A pure function of a datum's training logprobs: its loss, the gradient by logprob, and metrics that add up over data. */
export type LossFn = (logprobs: Float32Array, datum: Datum) => { loss: number; dLogprobs: Float32Array; metrics: Metrics };

export interface AdamWParams {
  readonly learningRate: number;
  readonly beta1: number;
  readonly beta2: number;
  readonly epsilon: number;
  readonly weightDecay: number;
  /** Largest global gradient norm; 0 switches clipping off. */
  readonly clipNorm: number;
  /**
   * Update only when the gradient's norm is finite and at most this: otherwise the gradient is dropped, all else stays, and
   * `applied` is false. −1 always drops. Absent: a norm that is not finite is an EngineError, after the same.
   */
  readonly skipAbove?: number;
}

export interface StepStats {
  /** Global gradient norm before clipping. */
  readonly gradNorm: number;
  /** False when `skipAbove` held the update back. */
  readonly applied: boolean;
}

/** One request of a live sampler: completions of one prompt. */
export interface LiveRequest extends Prompt {
  /** As for `sample`; `maxTokens` 0 draws nothing (the prompt's logprobs alone are wanted). */
  readonly params: SamplingParams;
  /** Likeliest alternatives to report with each drawn token; default 0. */
  readonly topLogprobs?: number;
  /** Report the logprobs of the prompt's own tokens, with so many alternatives each; absent: don't. */
  readonly promptLogprobs?: number;
}

/** The likeliest tokens at one position, likeliest first, with their raw logprobs. */
export interface TopTokens {
  readonly tokens: readonly number[];
  readonly logprobs: readonly number[];
}

/** The next tokens of one completion. Logprobs are raw. */
export interface LiveUpdate {
  /** Index of the completion, from 0; -1 is the prompt, whose entries belong to its tokens 1, 2, … */
  readonly sample: number;
  readonly tokens: readonly number[];
  readonly logprobs: readonly number[];
  /** One entry per token where alternatives were asked for. */
  readonly top?: readonly TopTokens[];
  /** Present when the completion has ended. */
  readonly stopReason?: Completion["stopReason"];
}

/** What a live sampler has to do right now. */
export interface LiveStats {
  /** Requests that have not ended. */
  readonly requests: number;
  /** Completions in slots, and completions that wait for one. */
  readonly running: number;
  readonly waiting: number;
  /** Rows of the key/value cache that nobody owns. */
  readonly freeRows: number;
}

/** A request on its way. */
export interface LiveCall {
  /** Fulfilled when all is reported or the request was cancelled. Errors: ConfigError, DataError (the request), EngineError. */
  readonly done: Promise<void>;
  /** Ends the request and frees what it holds; no update comes after. */
  cancel(): void;
}

/** Samples requests that come and go in one running batch. A completion depends on (seed, prompt, index) alone, as with `sample`. */
export interface LiveSampler {
  /** Longest sequence, prompt and completion together. */
  readonly context: number;
  readonly vocabSize: number;
  /** Fulfilled with the reason when the sampler can take no more requests. */
  readonly ended: Promise<Error>;
  submit(request: LiveRequest, on: (update: LiveUpdate) => void): LiveCall;
  stats(): Promise<LiveStats>;
  /** Cancels what is on its way and frees the memory. */
  dispose(): Promise<void>;
}

/** How a live sampler works; none of it changes a token. */
export interface LiveOptions {
  /**
   * Milliseconds between reports of tokens, at least; default 20. With many completions it is more, so that reports do not slow
   * sampling. The end of a completion is reported almost at once.
   */
  readonly reportMs?: number;
  /** Memory for keys and values in bytes; default: the engine's. */
  readonly cacheBytes?: number;
}

/** Frozen weights: sample from them and score with them. `dispose` frees their memory. */
export interface Snapshot extends Sampler, Scorer {
  /** Opens a live sampler on these weights; absent where the engine has none. Dispose it before the snapshot. */
  openLive?(options?: LiveOptions): Promise<LiveSampler>;
  dispose(): Promise<void>;
}

/** What frozen weights are for. */
export interface SnapshotOptions {
  /**
   * `training` (default): logprobs equal a trainer's on the same weights, to the bit; for rollouts and the reference model.
   * `frozen`: the engine may hold the weights in a smaller format; for answers that nobody trains on.
   */
  readonly precision?: "training" | "frozen";
}

/** How to write a trained model. */
export interface ExportOptions {
  /** Element type of the written weights; default float32. */
  readonly dtype?: "float32" | "bfloat16";
  /** Write a whole model even where an adapter was trained; default: the adapter alone, which names its base. */
  readonly merged?: boolean;
}

/** How a training state is saved. */
export interface SaveOptions {
  /**
   * `dir` is scratch: the files it holds are written over in place and nothing is flushed, which costs a fraction. Until the promise is
   * fulfilled `dir` holds no state; from then on it outlives a killed process, and a power loss once the caller has flushed it.
   */
  readonly scratch?: boolean;
}

export interface Trainer {
  /** Adds the gradient of the summed loss to the accumulated one; returns the summed loss under `loss` and summed metrics. */
  forwardBackward(data: readonly Datum[], loss: LossFn): Promise<Metrics>;
  /** Clips, applies AdamW (see `skipAbove` for when not), clears the gradient. */
  optimStep(params: AdamWParams): Promise<StepStats>;
  /** Clears optimizer moments and step count (a new phase starts fresh); the weights stay. */
  resetOptimizer(): Promise<void>;
  /** Freezes the current weights. */
  snapshot(options?: SnapshotOptions): Promise<Snapshot>;
  /**
   * Resumable state as of this call: what trains in f32, moments, step count. Further calls may follow before the promise is fulfilled,
   * which is when the files are whole, and on the disk unless `dir` is scratch. Errors: DiskError.
   */
  saveState(dir: string, options?: SaveOptions): Promise<void>;
  loadState(dir: string): Promise<void>;
  /** Writes a Hugging Face directory that transformers loads, or the directory of a PEFT adapter where one was trained. */
  exportModel(dir: string, options?: ExportOptions): Promise<void>;
  dispose(): Promise<void>;
}

/** Text to tokens and back, and the model's chat format. Lives on the calling thread. */
export interface Tokenizer {
  encode(text: string): Int32Array;
  decode(tokens: ArrayLike<number>): string;
  /** The rendered chat prompt with the generation prompt appended; the fallback is `role: content` lines. */
  renderChat(messages: readonly ChatMessage[]): string;
  /** Ids that end a turn or a text, from the model's own files. */
  readonly stopTokens: readonly number[];
  readonly vocabSize: number;
}

export interface ChatMessage {
  readonly role: "system" | "user" | "assistant";
  readonly content: string;
}

/** A low-rank adapter to train: y = x·Wᵀ + (alpha / rank)·(x·Aᵀ)·Bᵀ. */
export interface AdapterOptions {
  readonly rank: number;
  readonly alpha: number;
  /** Which weights of every layer get one, by the last part of their names, e.g. `q_proj`. */
  readonly targets: readonly string[];
  /** Seed of fresh values. */
  readonly seed: number;
}

/** What a trainer trains. */
export interface TrainerOptions {
  /** `none`: the whole model; default: as the engine is configured. */
  readonly adapter?: AdapterOptions | "none";
}

/** What `createEngine` returns: opens models of one kind. */
export interface Engine {
  /** Opens frozen weights. `dir` is a Hugging Face model directory or a PEFT adapter that names its base, here and below. */
  openSnapshot(dir: string, options?: SnapshotOptions): Promise<Snapshot>;
  /** Opens weights to train. */
  openTrainer(dir: string, options?: TrainerOptions): Promise<Trainer>;
  openTokenizer(dir: string): Promise<Tokenizer>;
  dispose(): Promise<void>;
}
