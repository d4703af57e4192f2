// What `rzero run` and `rzero resume` print: one line per step on standard output, progress inside a step on standard error,
// the tables at the end; on a terminal a view of the phase instead of its steps; with --json the events themselves. Knows the events,
// not what they come from.

import pc from "picocolors";
import { runTables } from "../report/run-tables.ts";
import { mebibytes } from "../selfplay/room.ts";
import { describe as skippedText } from "../selfplay/training.ts";
import type {
  BenchScore,
  ChallengerMetrics,
  CurriculumMetrics,
  ProgressEvent,
  RunEvent,
  SolverMetrics,
} from "../store/events.ts";
import type { RunStore } from "../store/run-store.ts";
import { formatDuration, formatPercent, oneLine } from "../util/format.ts";
import { LiveBlock, ProgressLine } from "../util/progress.ts";
import { LiveView } from "./live-view.ts";
import { print, printJsonLine } from "./output.ts";

/** Events that a quiet run does not tell: all but the end, the guard's decisions, warnings and troubles. */
const ROUTINE = new Set(["start", "phase", "challenger-step", "curriculum", "solver-step", "evaluation", "guard"]);

/** How much is shown: a line per step, a view that rewrites itself (terminals), the end and what went wrong, or JSON Lines. */
export type Output = "lines" | "live" | "quiet" | "json";

/** What suits the options and the streams. */
export function outputOf({ json, quiet }: { readonly json?: boolean; readonly quiet?: boolean }): Output {
  if (json) return "json";
  if (quiet) return "quiet";
  return process.stdout.isTTY && process.stderr.isTTY && process.env.TERM !== "dumb" ? "live" : "lines";
}

export class RunPrinter {
  readonly #store: RunStore;
  readonly #output: Output;
  readonly #progress = new ProgressLine();
  readonly #block = new LiveBlock();
  readonly #view = new LiveView();

  constructor(store: RunStore, output: Output) {
    this.#store = store;
    this.#output = output;
  }

  show(event: RunEvent | ProgressEvent): void {
    if (this.#output === "live") this.#live(event);
    else if (event.event === "progress") this.#showProgress(event);
    else {
      this.#progress.clear();
      if (this.#output === "json") printJsonLine(event);
      else if (this.#output === "lines" || !ROUTINE.has(event.event)) this.#print(event);
    }
  }

  /** Takes what rewrites itself away, before an error is shown. */
  clear(): void {
    this.#progress.clear();
    this.#block.clear();
  }

  /** Steps feed the view; what stays goes above it. */
  #live(event: RunEvent | ProgressEvent): void {
    this.#view.see(event);
    if (event.event !== "progress" && event.event !== "challenger-step" && event.event !== "solver-step") {
      this.#block.clear();
      const summary = event.event === "phase" && event.state === "done" ? this.#view.summary() : undefined;
      if (summary !== undefined) print(`  ${summary}`);
      this.#print(event);
    }
    if (event.event !== "done") this.#block.draw(() => this.#view.lines(this.#block.columns));
  }

  #showProgress({ iteration, phase, activity, done, total, tokens }: ProgressEvent): void {
    if (this.#output === "quiet") return;
    this.#progress.update(`  ${place(iteration)} ${phase}: ${activity}`, done, total, `${tokens} tokens`);
  }

  #print(event: RunEvent): void {
    const text = this.#describe(event);
    if (text !== undefined) print(text);
  }

  #describe(event: RunEvent): string | undefined {
    switch (event.event) {
      case "start": {
        const { run, recipe, seed, iterations, resumed } = event;
        return `${pc.bold(run)} ${resumed ? "goes on" : "starts"}: recipe ${recipe}, seed ${seed}, ${iterations} iterations → ${this.#store.dir}`;
      }
      case "phase":
        if (event.state === "start") return pc.bold(`${place(event.iteration)} · ${event.phase}`);
        return pc.dim(`  done in ${formatDuration(event.seconds ?? 0)}`);
      case "challenger-step":
        return `  step ${counter(event.step, event.steps)}  ${challengerLine(event.metrics)}  ${pc.dim(formatDuration(event.seconds))}${example(event.example)}`;
      case "curriculum":
        return `  ${curriculumLine(event.metrics)}`;
      case "solver-step":
        return `  step ${counter(event.step, event.steps)}  ${solverLine(event.metrics)}  ${pc.dim(formatDuration(event.seconds))}`;
      case "evaluation":
        return event.benches.map((bench) => `  ${evaluationLine(bench, event.line)}`).join("\n") || undefined;
      case "guard":
        return `  ${guardLine(event)}`;
      case "guard-decision":
        return pc.yellow(`  ${event.action}: ${event.reason}`);
      case "step-skipped":
        return pc.yellow(`  skipped: ${skippedText(event)}`);
      case "rollback":
        return pc.yellow(`  back to step ${event.step}: ${event.report}`);
      case "paused":
        return event.state === "over" ? "  there is room again; going on" : pc.yellow(`  ${pausedText(event)}`);
      case "restart":
        return pc.yellow(`  memory: ${event.reason} Going on with micro-batches of ${event.maxTokensPerMicroBatch} tokens.`);
      case "engine":
        return pc.dim(`  engine: ${event.message}`);
      case "early-stop":
        return pc.yellow(`  the run ends after iteration ${event.iteration}: ${event.reason}`);
      case "warning":
        return pc.yellow(`  warning: ${event.message}`);
      case "interrupted":
        return undefined;
      case "done":
        return `\n${runTables(this.#store)}\n\n${event.run}: done in ${formatDuration(event.seconds)}; best iteration ${event.best.iteration} (by ${event.best.by === "guard" ? "the guard" : "mean@k"}). rzero inspect ${event.run}`;
    }
  }
}

function pausedText({ what, dir, need, free }: Extract<RunEvent, { event: "paused" }>): string {
  return `paused, the disk is full: ${what} needs ${mebibytes(need)} in ${dir}, ${mebibytes(free)} free; going on when there is room`;
}

function place(iteration: number): string {
  return iteration === 0 ? "base" : `iteration ${iteration}`;
}

function counter(step: number, steps: number): string {
  return `${String(step).padStart(String(steps).length)}/${steps}`;
}

function challengerLine({ reward, inBand, voteShare, wellFormed, level, klPenalty, gradNorm }: ChallengerMetrics): string {
  const parts = [
    `reward ${fixed(reward)}`,
    `in band ${percent(inBand)}`,
    `vote share ${percent(voteShare)}`,
    `well-formed ${percent(wellFormed)}`,
  ];
  if (level !== undefined) parts.push(`level ${level.toFixed(2)}`);
  return [...parts, `KL ${klPenalty.toFixed(4)}`, `gradient ${fixed(gradNorm)}`].join("  ");
}

function curriculumLine(metrics: CurriculumMetrics): string {
  const { pool, kept, keptVoteShare, labelAccuracy, audit, keptLevel, rejected } = metrics;
  const parts = [`pool ${pool}`, `kept ${kept}`, `vote share ${percent(keptVoteShare)}`];
  if (labelAccuracy !== undefined) parts.push(`label accuracy ${percent(labelAccuracy)}`);
  if (audit) parts.push(`audit ${percent(audit.mean)} (95 %: ${percent(audit.ci95[0])}–${percent(audit.ci95[1])})`);
  if (keptLevel !== undefined) parts.push(`level ${keptLevel.toFixed(2)}`);
  const reasons = Object.entries(rejected).filter(([, count]) => count > 0);
  return (
    parts.join("  ") +
    (reasons.length > 0 ? pc.dim(`  (left out: ${reasons.map(([reason, count]) => `${reason} ${count}`).join(", ")})`) : "")
  );
}

function solverLine({ reward, meanTokens, truncated, zeroVarianceGroups, groups, klPenalty, gradNorm }: SolverMetrics): string {
  return [
    `reward ${fixed(reward)}`,
    `tokens ${meanTokens.toFixed(1)}`,
    `cut off ${percent(truncated)}`,
    `equal groups ${zeroVarianceGroups}/${groups}`,
    `KL ${klPenalty.toFixed(4)}`,
    `gradient ${fixed(gradNorm)}`,
  ].join("  ");
}

function evaluationLine({ name, greedy, sampled, samples, thinks }: BenchScore, line: "solver" | "forced-prefix"): string {
  const parts = [line === "solver" ? name : `${name}, forced to think`];
  if (greedy) parts.push(`greedy ${formatPercent(greedy.mean)}`);
  parts.push(
    `mean@${samples} ${formatPercent(sampled.mean)} (95 %: ${formatPercent(sampled.ci95[0])}–${formatPercent(sampled.ci95[1])})`,
  );
  if (thinks !== undefined) parts.push(`thinks ${percent(thinks)}`);
  return parts.join("  ");
}

function guardLine({ measures, decision, best }: Extract<RunEvent, { event: "guard" }>): string {
  const { selfConsistency, confirmed, truncated, entropy, klToBase } = measures;
  const parts = [
    ...(selfConsistency === undefined ? [] : [`self-consistency ${percent(selfConsistency)}`]),
    ...(confirmed === undefined ? [] : [`confirmed ${percent(confirmed)}`]),
    ...(truncated === undefined ? [] : [`cut off ${percent(truncated)}`]),
    ...(entropy === undefined ? [] : [`entropy ${fixed(entropy)}`]),
    ...(klToBase === undefined ? [] : [`KL to base ${fixed(klToBase)}`]),
    `best iteration ${best.iteration}`,
  ];
  if (decision.action === "stop") parts.push("the run ends here");
  if (decision.action === "rollback") parts.push(`back to ${place(decision.to)}`);
  return parts.join("  ");
}

function example(text: string | undefined): string {
  if (text === undefined) return "";
  return pc.dim(`  “${oneLine(text, 61)}”`);
}

function fixed(value: number): string {
  return value.toFixed(3);
}

function percent(share: number): string {
  return `${formatPercent(share)} %`;
}
