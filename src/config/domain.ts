// Configuration of a domain beyond its prompts: what an answer is, how two are compared, what judges them, how questions may begin, and the
// human questions it starts from. Does NOT know how any of it is done (answer/, selfplay/).

import { z } from "zod";

const answer = z.strictObject({
  /** What an answer must be to have a vote and, as the Challenger's own, to be well-formed; `any`: whatever stands in the box. */
  kind: z.enum(["any", "number", "text", "choice", "list"]).default("any"),
  /** How answers are compared: by meaning, as the released code does, or letter by letter after white space is made even. */
  policy: z.enum(["math-verify", "mathruler", "exact"]).default("math-verify"),
});

/** What judges answers: the majority, a user's module, or a checker program in a sandbox. */
const verifier = z.discriminatedUnion("kind", [
  z.strictObject({ kind: z.literal("vote") }),
  z.strictObject({
    kind: z.literal("module"),
    /** An ES module that exports `verify(question, answer)`; it runs with all rights of this program. */
    path: z.string().min(1),
    /** Time for one answer, in milliseconds. */
    timeoutMs: z.int().min(1).default(5000),
    memoryMb: z.int().min(16).default(256),
  }),
  z.strictObject({
    kind: z.literal("program"),
    /** A script that defines `verify(question, answer)`; absent: the one in the question's `<checker>` mark. */
    source: z.string().min(1).max(20_000).optional(),
    timeoutMs: z.int().min(1).default(200),
    memoryMb: z.int().min(16).default(32),
  }),
]);

/** The `domain` section of a configuration; the default is mathematics. */
export const domainSchema = z.strictObject({
  answer: answer.prefault({}),
  verifier: verifier.prefault({ kind: "vote" }),
  /**
   * Beginnings that the Challenger's replies are given in turn, for a base that would never begin so; each is as likely as the others. They
   * belong to the prompt: no gradient, and the reply is read with its beginning.
   */
  openings: z.array(z.string().min(1)).max(64).default([]),
});

/** The `anchors` section: a few human questions (R-Few, arXiv 2512.02472). */
export const anchorsSchema = z.strictObject({
  /** JSON Lines of {"question", "answer"}. */
  data: z.string().min(1),
  /** Examples in the Challenger's prompt, as earlier turns of the conversation. */
  examples: z.int().min(0).max(5).default(0),
  /** Different draws of examples in a step; few of them share most of the work of their prompts. */
  promptsPerStep: z.int().min(1).max(64).default(1),
  /** Share of the curriculum that is anchors, with their human answers as labels. */
  curriculumShare: z.number().min(0).max(0.9).default(0),
});

export type DomainConfig = z.output<typeof domainSchema>;
export type AnchorsConfig = z.output<typeof anchorsSchema>;

/** Different prompts of one call that poses questions. */
export function promptVariants(domain: DomainConfig, anchors: AnchorsConfig | undefined): number {
  const draws = anchors !== undefined && anchors.examples > 0 ? anchors.promptsPerStep : 1;
  return draws * Math.max(1, domain.openings.length);
}
