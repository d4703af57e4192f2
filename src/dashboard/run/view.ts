// One run as the page shows it, looked at again whenever it is asked for: its row in the table of runs, timeline, scores. Reads the store
// and keeps what cannot have changed. Knows no HTTP.

import { existsSync, statSync } from "node:fs";
import type { BenchScore } from "../../store/events.ts";
import { PHASES, type Phase, type RunLayout, runLayout } from "../../store/layout.ts";
import { LOCK_TIMING, lockHolder } from "../../store/lock.ts";
import { readProgress } from "../../store/progress.ts";
import type { RunStore } from "../../store/run-store.ts";
import { openRun } from "../../store/runs.ts";
import { errorText } from "../../util/errors.ts";
import { readText } from "../../util/files.ts";
import type { JsonObject } from "../../util/json.ts";
import type { HeadlineScore, PhaseSpan, RunDetail, RunRow, ScoreColumn, Scores } from "../api.ts";
import { RunHistory } from "./history.ts";
import { LogReader, LogReplaced } from "./log.ts";

const MAX_CONFIG_BYTES = 2 ** 20;
/** A lock from another machine is believed by its heartbeat alone: nobody waits here. */
const NO_WAIT = { ...LOCK_TIMING, watchMs: 0, sleep: () => {} };

/** See the file header. */
export class RunView {
  readonly name: string;
  readonly layout: RunLayout;
  readonly #root: string;
  #store: RunStore | undefined;
  #stamp = "";
  #log: LogReader;
  #history = new RunHistory();
  #markers = new Map<string, JsonObject>();

  constructor(root: string, name: string) {
    this.name = name;
    this.#root = root;
    this.layout = runLayout(root, name);
    this.#log = new LogReader(this.layout.events);
  }

  /** The run, opened. Errors: DataError, ConfigError when it is damaged. */
  get store(): RunStore {
    const stamp = [this.layout.config, this.layout.info].map(stampOf).join();
    if (this.#store === undefined || stamp !== this.#stamp) {
      this.#store = openRun(this.#root, this.name);
      this.#stamp = stamp;
      this.#markers.clear();
    }
    return this.#store;
  }

  /** The course of the run up to now. */
  get history(): RunHistory {
    try {
      this.#log.read(({ event }) => this.#history.add(event));
    } catch (error) {
      if (!(error instanceof LogReplaced)) throw error;
      this.#history = new RunHistory();
      this.#markers.clear();
      this.#log = new LogReader(this.layout.events);
      this.#log.read(({ event }) => this.#history.add(event));
    }
    return this.#history;
  }

  /** The marker of a finished phase; undefined when it is not finished, or damaged. */
  marker(iteration: number, phase: Phase): JsonObject | undefined {
    const key = `${iteration}/${phase}/${stampOf(this.store.phase(iteration, phase).done)}`;
    let marker = this.#markers.get(key);
    if (marker === undefined && this.store.phaseDone(iteration, phase)) {
      try {
        marker = this.store.readDone(iteration, phase);
        this.#markers.set(key, marker);
      } catch {
        return undefined; // rzero inspect --verify says what is wrong with it
      }
    }
    return marker;
  }

  row(): RunRow {
    try {
      return this.#row();
    } catch (error) {
      return { name: this.name, state: "damaged", problem: errorText(error), progress: 0, seconds: 0 };
    }
  }

  detail(): RunDetail {
    const { info } = this.store;
    const { history } = this;
    const live = readProgress(this.layout.progress);
    return {
      row: this.row(),
      made: { rzero: info.rzero, node: info.node, cpu: info.cpu },
      timeline: this.timeline(),
      live: this.#state() === "running" ? live : undefined,
      example: history.example,
      notices: history.notices,
      config: readText(this.layout.config, MAX_CONFIG_BYTES),
      lastEventId: this.#log.place,
    };
  }

  timeline(): PhaseSpan[] {
    const { config } = this.store;
    const { history } = this;
    const state = this.#state();
    const isTrained = (phase: Phase) => (phase !== "challenger" && phase !== "solver" ? true : config[phase].train);
    const phases = PHASES.filter((phase) => isTrained(phase) && (phase !== "guard" || config.guard.enabled));
    const span = (iteration: number, phase: Phase): PhaseSpan => {
      const { start, seconds, step, steps } = history.phase(iteration, phase);
      if (this.store.phaseDone(iteration, phase)) return { iteration, phase, state: "done", start, seconds, step, steps };
      if (start === undefined) return { iteration, phase, state: "waiting" };
      const end = state === "running" ? Date.now() : Date.parse(history.updated ?? start);
      const since = Math.max(0, (end - Date.parse(start)) / 1000);
      return { iteration, phase, state: state === "running" ? "running" : "stopped", start, seconds: since, step, steps };
    };
    const spans = [span(0, "evaluation")];
    for (let iteration = 1; iteration <= config.iterations; iteration++)
      for (const phase of phases) spans.push(span(iteration, phase));
    // A run that the guard or a rule ended has no phases to come.
    return state === "done" ? spans.filter((one) => one.state === "done") : spans;
  }

  scores(): Scores {
    const columns = this.store.iterations().flatMap((iteration): ScoreColumn[] => {
      const marker = this.marker(iteration, "evaluation");
      if (marker === undefined) return [];
      const own: ScoreColumn = { iteration, line: "solver", benches: marker.solver as BenchScore[] };
      if (marker.forcedPrefix === undefined) return [own];
      return [{ iteration, line: "forced-prefix", benches: marker.forcedPrefix as BenchScore[] }, own];
    });
    return { columns, best: this.#best(columns) };
  }

  #row(): RunRow {
    const { config, info } = this.store;
    const { history } = this;
    const timeline = this.timeline();
    const { columns, best } = this.scores();
    const solver = columns.filter(({ line }) => line === "solver");
    return {
      name: this.name,
      state: this.#state(),
      recipe: info.recipe,
      preset: config.preset,
      seed: config.seed,
      base: config.base,
      engine: config.engine.kind,
      created: info.created,
      updated: history.updated ?? info.created,
      iterations: config.iterations,
      at: history.at,
      ...courseOf(timeline),
      baseScore: headline(solver.find(({ iteration }) => iteration === 0)),
      bestScore: headline(solver.find(({ iteration }) => iteration === best?.iteration)),
    };
  }

  #state(): RunRow["state"] {
    if (existsSync(this.layout.done)) return "done";
    if (lockHolder(this.layout.lock, NO_WAIT)) return "running";
    return this.store.iterations().length > 0 ? "stopped" : "new";
  }

  /** As the run's summary says; before it is there, as the guard does; without one, by the scores. */
  #best(columns: readonly ScoreColumn[]): Scores["best"] {
    const summary = this.store.readSummary();
    if (summary !== undefined) return summary.best as Scores["best"];
    const guarded = this.store.iterations().flatMap((iteration) => this.marker(iteration, "guard")?.best ?? []);
    if (guarded.length > 0) return { ...(guarded[guarded.length - 1] as { iteration: number }), by: "guard" };
    const scored = columns.filter(({ line }) => line === "solver");
    const top = scored.reduce<ScoreColumn | undefined>((best, one) => (best && mean(best) >= mean(one) ? best : one), undefined);
    return top && { iteration: top.iteration, by: "evaluation" };
  }
}

/** Share of the work that is done, seconds so far and to come: a phase to come takes as long as those of its kind took. */
function courseOf(timeline: readonly PhaseSpan[]): Pick<RunRow, "progress" | "seconds" | "secondsLeft"> {
  const seconds = timeline.reduce((sum, span) => sum + (span.seconds ?? 0), 0);
  const took = (phase: Phase) => {
    const done = timeline.filter((span) => span.state === "done" && span.phase === phase).flatMap((span) => span.seconds ?? []);
    return done.length === 0 ? undefined : done.reduce((sum, value) => sum + value, 0) / done.length;
  };
  const known = PHASES.flatMap((phase) => took(phase) ?? []);
  const typical = known.length === 0 ? 1 : known.reduce((sum, value) => sum + value, 0) / known.length;
  let [done, left, certain] = [0, 0, known.length > 0];
  for (const { phase, state, step = 0, steps = 0 } of timeline) {
    const whole = took(phase) ?? typical;
    const share = state === "done" ? 1 : steps > 0 ? step / steps : 0;
    if (state !== "done" && took(phase) === undefined) certain = false;
    done += share * whole;
    left += (1 - share) * whole;
  }
  const progress = done + left === 0 ? 0 : done / (done + left);
  return { progress, seconds, secondsLeft: certain && left > 0 ? left : undefined };
}

function headline(column: ScoreColumn | undefined): HeadlineScore | undefined {
  if (column === undefined || column.benches.length === 0) return undefined;
  const ci95 = column.benches.length === 1 ? column.benches[0].sampled.ci95 : undefined;
  return { iteration: column.iteration, mean: mean(column), ci95 };
}

function mean({ benches }: ScoreColumn): number {
  return benches.reduce((sum, { sampled }) => sum + sampled.mean, 0) / Math.max(1, benches.length);
}

function stampOf(path: string): string {
  const stat = statSync(path, { throwIfNoEntry: false });
  return stat === undefined ? "" : `${stat.ino}:${stat.size}:${stat.mtimeMs}`;
}
