// What `rzero run` shows of the phase in progress on a terminal: a bar, what is being done, the curve of the reward, the newest
// question with its vote. Knows events, draws nothing itself.

import type { ChallengerMetrics, ProgressEvent, RunEvent, SolverMetrics } from "../store/events.ts";
import { bar, formatCount, formatDuration, formatPercent, oneLine, sparkline } from "../util/format.ts";

/** A step of either role, as the view needs it. */
type StepEvent = Extract<RunEvent, { event: "challenger-step" | "solver-step" }>;

/** See the file header. */
export class LiveView {
  #iterations = 0;
  #phase: { iteration: number; phase: string } | undefined;
  #steps: StepEvent[] = [];
  #progress: ProgressEvent | undefined;

  /** Takes an event in. */
  see(event: RunEvent | ProgressEvent): void {
    if (event.event === "start") this.#iterations = event.iterations;
    else if (event.event === "phase" && event.state === "start") {
      this.#phase = event;
      this.#steps = [];
      this.#progress = undefined;
    } else if (event.event === "challenger-step" || event.event === "solver-step") this.#steps.push(event);
    else if (event.event === "progress") this.#progress = event;
  }

  /** Lines of the phase in progress, each at most `columns` wide. */
  lines(columns: number): string[] {
    if (this.#phase === undefined) return [];
    const texts = [this.#phaseLine(), this.#activityLine(), this.#rewardLine(), this.#questionLine(columns)];
    return texts.filter((text) => text !== undefined).map((text) => oneLine(text, columns));
  }

  /** What stays of a training phase when it is over: the whole curve, from and to; undefined for other phases. */
  summary(): string | undefined {
    const [first, last] = [this.#steps[0], this.#steps.at(-1)];
    if (first === undefined || last === undefined) return undefined;
    const parts = [
      `${this.#steps.length} ${this.#steps.length === 1 ? "step" : "steps"}`,
      `reward ${this.#curve()} ${fixed(first.metrics.reward)} → ${fixed(last.metrics.reward)}`,
    ];
    if (first.event === "challenger-step" && last.event === "challenger-step") {
      parts.push(`in band ${formatPercent(first.metrics.inBand)} → ${formatPercent(last.metrics.inBand)} %`);
      parts.push(`vote share ${formatPercent(first.metrics.voteShare)} → ${formatPercent(last.metrics.voteShare)} %`);
    } else parts.push(`tokens ${first.metrics.meanTokens.toFixed(1)} → ${last.metrics.meanTokens.toFixed(1)}`);
    return parts.join("  ");
  }

  #phaseLine(): string {
    const { iteration, phase } = this.#phase as { iteration: number; phase: string };
    const place = iteration === 0 ? "base" : `iteration ${iteration}/${this.#iterations}`;
    const last = this.#steps.at(-1);
    if (last === undefined) return `${place} · ${phase}`;
    const seconds = this.#steps.reduce((sum, step) => sum + step.seconds, 0) / this.#steps.length;
    const left = last.steps > last.step ? ` · ${formatDuration(seconds * (last.steps - last.step))} left` : "";
    return `${place} · ${phase} ${bar(last.step / last.steps)} ${last.step}/${last.steps} · ${formatDuration(seconds)} a step${left}`;
  }

  #activityLine(): string | undefined {
    if (this.#progress === undefined) return undefined;
    const { activity, done, total, tokens } = this.#progress;
    return ` ${activity} ${bar(total > 0 ? done / total : 0, 10)} ${done}/${total} · ${formatCount(tokens)} tokens`;
  }

  #rewardLine(): string | undefined {
    const last = this.#steps.at(-1);
    if (last === undefined) return undefined;
    const { reward, klPenalty, entropy } = last.metrics;
    const own = last.event === "challenger-step" ? challengerParts(last.metrics) : solverParts(last.metrics);
    return ` reward ${this.#curve()} ${fixed(reward)} · ${own} · KL ${klPenalty.toFixed(4)} · entropy ${fixed(entropy)}`;
  }

  #questionLine(columns: number): string | undefined {
    const last = this.#steps.findLast((step) => step.event === "challenger-step" && step.example !== undefined);
    if (last?.event !== "challenger-step" || last.example === undefined) return undefined;
    const vote = last.exampleVote ? ` ${last.exampleVote.count} of ${last.exampleVote.m} answers agree` : "";
    return ` newest “${oneLine(last.example, Math.max(10, columns - vote.length - 12))}”${vote}`;
  }

  #curve(): string {
    return sparkline(this.#steps.map(({ metrics }) => metrics.reward));
  }
}

function challengerParts({ inBand, voteShare }: ChallengerMetrics): string {
  return `in band ${formatPercent(inBand)} % · vote share ${formatPercent(voteShare)} %`;
}

function solverParts({ meanTokens, zeroVarianceGroups, groups }: SolverMetrics): string {
  return `tokens ${meanTokens.toFixed(1)} · equal groups ${zeroVarianceGroups}/${groups}`;
}

function fixed(value: number): string {
  return value.toFixed(3);
}
