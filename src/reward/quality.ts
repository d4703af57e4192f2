// The quality gate: is a question one that can be asked and answered at all? 1 or 0, multiplied into the Challenger's reward, because a gate
// that is only added can be outbid. Knows texts and an archive, no votes but the outcome of one. Source: docs/algorithm.md, known failures
// (issue 8 of the released repository: ambiguous questions score best); multiplied gates as in SGS, SAGE and VHG.

import { equivalent, type GradingPolicy } from "../answer/equivalent.ts";
import { readAnswer } from "../answer/reading.ts";
import { linearPattern } from "../util/linear-pattern.ts";
import { ReferenceTexts } from "./bleu.ts";
import type { QuestionArchive } from "./novelty.ts";

/** The gate's conditions; the keys are those of the configuration. */
export interface QualityOptions {
  /** The Challenger's own answer: not asked for, boxed, or read as a mathematical value and not as words. */
  readonly ownAnswer: "any" | "boxed" | "value";
  /** The own answer must be equivalent to the majority answer. */
  readonly agreement: boolean;
  /** Bounds of the question's length in tokens; 0: none. */
  readonly minTokens: number;
  readonly maxTokens: number;
  /** Greatest BLEU to a line of the Challenger's prompt, and to an archived question; 1: no bound. */
  readonly promptCopy: number;
  readonly archiveCopy: number;
  /** Regular expression that a question must match, or several of which it must match one. */
  readonly wellPosed?: string | readonly string[];
}

/** Why a question fails, in the order of the checks. */
export const QUALITY_FAULTS = ["length", "ownAnswer", "illPosed", "promptCopy", "archiveCopy", "disagreement"] as const;

/** One of QUALITY_FAULTS. */
export type QualityFault = (typeof QUALITY_FAULTS)[number];

/** A question before anybody answers it. */
export interface GatedQuestion {
  readonly question: string;
  readonly ownAnswer: string | undefined;
  readonly questionTokens: number;
}

// A copy has a BLEU of 1 up to rounding.
const TOLERANCE = 1e-9;

/** The gate of one phase. */
export class QualityGate {
  readonly #options: QualityOptions;
  readonly #archive: QuestionArchive;
  readonly #patterns: readonly RegExp[] | undefined;
  readonly #promptLines: ReferenceTexts;

  /** `prompt`: texts of the Challenger's prompt. Errors: ConfigError, for a pattern that cannot be matched in linear time. */
  constructor(options: QualityOptions, prompt: readonly string[], archive: QuestionArchive) {
    this.#options = options;
    this.#archive = archive;
    this.#patterns = options.wellPosed === undefined ? undefined : [options.wellPosed].flat().map(linearPattern);
    this.#promptLines = new ReferenceTexts(prompt.flatMap((text) => [text, ...text.split("\n")]));
  }

  /** The first fault that shows without votes; undefined: none. */
  fault({ question, ownAnswer, questionTokens }: GatedQuestion): QualityFault | undefined {
    const { minTokens, maxTokens, promptCopy, archiveCopy } = this.#options;
    if (questionTokens < minTokens || (maxTokens > 0 && questionTokens > maxTokens)) return "length";
    if (!this.#acceptsOwnAnswer(ownAnswer)) return "ownAnswer";
    if (this.#patterns?.every((pattern) => !pattern.test(question))) return "illPosed";
    if (promptCopy < 1 && this.#likePrompt(question) > promptCopy + TOLERANCE) return "promptCopy";
    if (archiveCopy < 1 && this.#archive.similarity(question, "bleu").greatest > archiveCopy + TOLERANCE) return "archiveCopy";
    return undefined;
  }

  /** The fault that only votes show; undefined: none. A question without any vote has no majority and disagrees. */
  disagreement(ownAnswer: string | undefined, majority: string | undefined, policy: GradingPolicy): QualityFault | undefined {
    if (!this.#options.agreement) return undefined;
    return equivalent({ predicted: ownAnswer, truth: majority }, { policy }).equivalent ? undefined : "disagreement";
  }

  #acceptsOwnAnswer(ownAnswer: string | undefined): boolean {
    const { ownAnswer: rule } = this.#options;
    if (rule === "any") return true;
    if (!ownAnswer?.trim()) return false;
    return rule === "boxed" || readAnswer(ownAnswer).kind !== "words";
  }

  #likePrompt(question: string): number {
    return this.#promptLines.similarities(question, "bleu").reduce((greatest, value) => Math.max(greatest, value), 0);
  }
}
