// The penalty for coming near the token limit, so that length is paid for before an answer is cut. Knows a length, no text.
// Source: DAPO (2503.14476), eq. 13: 0 up to L − c, (L − c − length)/c between, −1 from L on; L the limit, c the buffer.

/** Where the penalty begins and how much it is. */
export interface OverlongOptions {
  /** c in tokens; 0 switches the penalty off. */
  readonly buffer: number;
  readonly weight: number;
}

/** Penalty of a completion of `tokens` tokens under a limit of `maxTokens`: in [−weight, 0]. */
export function overlongPenalty(tokens: number, maxTokens: number, { buffer, weight }: OverlongOptions): number {
  if (buffer === 0 || weight === 0) return 0;
  const over = (tokens - (maxTokens - buffer)) / buffer;
  return over <= 0 ? 0 : -weight * Math.min(1, over);
}
