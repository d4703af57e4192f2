// What judges answers in place of the majority: the contract of a verifier. Knows no process and no loop. Part of the public interface.

/**
 * A user's verifier module exports this as `verify` (or as its default). It says whether an answer, as it stood in its box, is right:
 * true or false where it can tell, undefined where it cannot. It may be async, and need not be deterministic: what it said is recorded.
 * An error, or no answer in time, counts as undefined.
 */
export type Verify = (question: string, answer: string) => boolean | undefined | Promise<boolean | undefined>;

/** Exports of a verifier module. */
export interface VerifierModule {
  readonly verify: Verify;
}
