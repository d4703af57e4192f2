// Every number of a run as named points: what TensorBoard, CSV and MLflow are given. Tags are `phase/measure`, as in docs/log.md's
// tables and the events. Knows events, no format of another program.

import type { BenchScore, RunEvent } from "../../store/events.ts";
import type { StoredEvent } from "../../store/run-store.ts";

/** One value of one measure. */
export interface Point {
  /** `solver/reward`, `evaluation/held-out/mean`, … */
  readonly tag: string;
  readonly iteration: number;
  /** Training: rollout steps of that role since the start of the run, from 1. All else: the iteration. */
  readonly step: number;
  /** When it was told, in seconds since 1970. */
  readonly time: number;
  readonly value: number;
}

/** The tag of each phase's step counter starts anew in every iteration; this makes one axis of them. */
interface Axis {
  iteration: number;
  /** Steps of all iterations before. */
  before: number;
  last: number;
}

/**
 * Turns events, in order, into points. Feed it every event from the start of the run: its axes count steps. A step that a resumed run
 * told again gives the same tags and steps again; `points` keeps the last.
 */
export class SeriesReader {
  readonly #axes = { challenger: newAxis(), solver: newAxis() };

  /** Points of one event; none for events that carry no measure. */
  read(stored: StoredEvent): Point[] {
    const event = stored as unknown as RunEvent & { readonly time?: string };
    const time = Date.parse(event.time ?? "") / 1000;
    const at = (iteration: number, step: number, values: readonly [string, number][]): Point[] =>
      values.map(([tag, value]) => ({ tag, iteration, step, time, value }));
    switch (event.event) {
      case "challenger-step":
      case "solver-step": {
        const role = event.event === "solver-step" ? "solver" : "challenger";
        const step = globalStep(this.#axes[role], event.iteration, event.step);
        const measures = {
          ...event.metrics,
          secondsPerStep: event.seconds,
          tokensPerSecond: event.metrics.tokens / event.seconds,
        };
        return at(event.iteration, step, numbersOf(role, measures));
      }
      case "curriculum":
        return at(event.iteration, event.iteration, numbersOf("curriculum", event.metrics));
      case "guard":
        return at(event.iteration, event.iteration, numbersOf("guard", event.measures));
      case "evaluation": {
        const line = event.line === "solver" ? "evaluation" : "evaluation-forced-prefix";
        return event.benches.flatMap((bench) => at(event.iteration, event.iteration, scoresOf(`${line}/${bench.name}`, bench)));
      }
      default:
        return [];
    }
  }
}

/** All points of a run: one per tag and step, the last told, by tag and then step. */
export function points(events: readonly StoredEvent[]): Point[] {
  const reader = new SeriesReader();
  const last = new Map<string, Point>();
  for (const event of events) for (const point of reader.read(event)) last.set(`${point.tag}\n${point.step}`, point);
  return [...last.values()].sort((a, b) => (a.tag < b.tag ? -1 : a.tag > b.tag ? 1 : a.step - b.step));
}

function newAxis(): Axis {
  return { iteration: 0, before: 0, last: 0 };
}

function globalStep(axis: Axis, iteration: number, step: number): number {
  if (iteration !== axis.iteration) {
    axis.before += axis.last;
    axis.iteration = iteration;
    axis.last = 0;
  }
  axis.last = Math.max(axis.last, step);
  return axis.before + step;
}

/** Every finite number inside a value, named by its path; intervals as `low` and `high`. */
function numbersOf(tag: string, value: unknown): [string, number][] {
  if (typeof value === "number") return Number.isFinite(value) ? [[tag, value]] : [];
  if (Array.isArray(value)) {
    const ends = value.length === 2 ? ["low", "high"] : value.map(String);
    return value.flatMap((inner, index) => numbersOf(`${tag}/${ends[index]}`, inner));
  }
  if (typeof value !== "object" || value === null) return [];
  return Object.entries(value).flatMap(([key, inner]) => numbersOf(`${tag}/${key}`, inner));
}

function scoresOf(tag: string, { sampled, greedy, passAtK, thinks, questions, samples }: BenchScore): [string, number][] {
  return numbersOf(tag, {
    mean: sampled.mean,
    ci95: sampled.ci95,
    greedy: greedy?.mean,
    passAtK,
    thinks,
    unparsed: sampled.unparsed / (questions * samples),
    truncated: sampled.truncated / (questions * samples),
    categories: sampled.categories,
    levels: sampled.levels,
  });
}
