// What a run's events say of its course: phases with their times, the curves of both roles, what people should see. Grows event by event.
// Knows events, no file.

import type { Phase, Role } from "../../store/layout.ts";
import { CURVES, type CurveKey, type CurveSet, type Notice, type StreamedEvent } from "../api.ts";

/** A phase as the events tell it. */
export interface PhaseHistory {
  start?: string;
  seconds?: number;
  step?: number;
  steps?: number;
}

type Event = StreamedEvent["event"];
type Numbers = Readonly<Record<string, unknown>>;

/** Names of measures that differ from those of the curves. */
const ALIASES: Partial<Record<CurveKey, string>> = { truncated: "truncatedAnswers" };
const MOST_NOTICES = 200;
const LONGEST_TEXT = 1000;

/** See the file header. */
export class RunHistory {
  readonly phases = new Map<string, PhaseHistory>();
  readonly notices: Notice[] = [];
  example: string | undefined;
  /** Time of the last event. */
  updated: string | undefined;
  /** The phase that began last. */
  at: { iteration: number; phase: Phase } | undefined;
  readonly #columns: Readonly<Record<Role, Columns>> = { challenger: new Columns(), solver: new Columns() };

  add(event: Event): void {
    this.updated = event.time;
    if (event.event === "phase") this.#addPhase(event);
    else if (event.event === "challenger-step") this.#addStep("challenger", event);
    else if (event.event === "solver-step") this.#addStep("solver", event);
    const text = noticeText(event);
    if (text === undefined) return;
    const { time, event: name, iteration, phase } = event as Event & { iteration?: number; phase?: Phase };
    this.notices.push({ time, event: name, iteration, phase, text: text.slice(0, LONGEST_TEXT) });
    if (this.notices.length > MOST_NOTICES) this.notices.shift();
  }

  phase(iteration: number, phase: Phase): PhaseHistory {
    const key = `${iteration}/${phase}`;
    const known = this.phases.get(key) ?? {};
    this.phases.set(key, known);
    return known;
  }

  /** Curves of the roles that have any, at most `points` points each. */
  curves(points: number): CurveSet[] {
    return (["challenger", "solver"] as const).flatMap((role) => {
      const columns = this.#columns[role];
      return columns.size === 0 ? [] : [columns.toSet(role, points)];
    });
  }

  #addPhase(event: Event): void {
    const { iteration, phase, state, time, seconds } = event as Event & { iteration: number; phase: Phase };
    const history = this.phase(iteration, phase);
    if (state === "start") {
      history.start = time;
      this.at = { iteration, phase };
    } else if (typeof seconds === "number") history.seconds = seconds;
  }

  #addStep(role: Role, event: Event): void {
    const { iteration, step, steps, seconds, metrics, example } = event as Event & { iteration: number; step: number };
    Object.assign(this.phase(iteration, role), { step, steps });
    if (typeof example === "string") this.example = example.slice(0, LONGEST_TEXT);
    if (typeof metrics === "object" && metrics !== null) this.#columns[role].add(iteration, step, metrics as Numbers, seconds);
  }
}

/** Measures by step, as columns. */
class Columns {
  readonly #iteration: number[] = [];
  readonly #step: number[] = [];
  readonly #values = new Map<CurveKey, (number | null)[]>();
  readonly #rows = new Map<string, number>();

  get size(): number {
    return this.#step.length;
  }

  /** Adds a step; one that was done again replaces what it was. */
  add(iteration: number, step: number, metrics: Numbers, seconds: unknown): void {
    const key = `${iteration}/${step}`;
    const row = this.#rows.get(key) ?? this.#step.length;
    this.#rows.set(key, row);
    this.#iteration[row] = iteration;
    this.#step[row] = step;
    for (const { key: curve } of CURVES) {
      const value = measure(curve, metrics, seconds);
      let column = this.#values.get(curve);
      if (column === undefined) {
        if (value === null) continue;
        column = Array(row).fill(null);
        this.#values.set(curve, column);
      }
      column[row] = value;
    }
    for (const column of this.#values.values()) if (column.length <= row) column[row] = null;
  }

  toSet(role: Role, points: number): CurveSet {
    const width = Math.max(1, Math.ceil(this.size / points));
    const starts = Array.from({ length: Math.ceil(this.size / width) }, (_, index) => index * width);
    const curves: Partial<Record<CurveKey, (number | null)[]>> = {};
    for (const [key, column] of this.#values) curves[key] = starts.map((at) => meanOf(column.slice(at, at + width)));
    return {
      role,
      x: starts.map((at) => at + 1),
      iteration: starts.map((at) => this.#iteration[at]),
      step: starts.map((at) => this.#step[at]),
      curves,
    };
  }
}

function measure(curve: CurveKey, metrics: Numbers, seconds: unknown): number | null {
  if (curve === "tokensPerSecond") return ratio(metrics.tokens, seconds);
  if (curve === "zeroVarianceShare") return ratio(metrics.zeroVarianceGroups, metrics.groups);
  const value = metrics[curve] ?? metrics[ALIASES[curve] ?? curve];
  return typeof value === "number" ? value : null;
}

function ratio(above: unknown, below: unknown): number | null {
  return typeof above === "number" && typeof below === "number" && below > 0 ? above / below : null;
}

/** Mean of what was measured, to 6 significant digits; null of nothing. */
function meanOf(values: readonly (number | null)[]): number | null {
  const known = values.filter((value) => value !== null);
  if (known.length === 0) return null;
  return Number((known.reduce((sum, value) => sum + value, 0) / known.length).toPrecision(6));
}

/** What people read of an event that they should see; undefined for all others. */
function noticeText(event: Event): string | undefined {
  const { message, reason, report, what, state, step, update, value, measure: name } = event as Event & Record<string, unknown>;
  switch (event.event) {
    case "warning":
      return String(message);
    case "step-skipped":
      return `step ${step}, update ${update} skipped: ${reason} ${value}`;
    case "rollback":
      return String(report);
    case "restart":
    case "early-stop":
      return String(reason);
    case "guard-decision":
      return `${name}: ${reason}`;
    case "paused":
      return state === "over" ? `goes on: room for ${what}` : `waits for room for ${what}`;
    case "interrupted":
      return "interrupted";
    default:
      return undefined;
  }
}
