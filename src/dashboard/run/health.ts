// The guard's side of a run: measures, the values that its rules do not let them pass, decisions; how the pools cover ground; the matrix of
// Solvers and questions. Reads what the phases left. Rules are judged by selfplay/guard-rules.ts, here they are only shown.

import { boundOf, conditionOf, type GuardEntry } from "../../selfplay/guard-rules.ts";
import type { CurriculumMetrics, GuardReport } from "../../store/events.ts";
import { matrixGrid, readMatrix } from "../../store/matrix.ts";
import type { Diversity, Health, HealthMeasure, HealthRule, Matrix } from "../api.ts";
import type { StoredMap } from "../index/map.ts";
import type { RunView } from "./view.ts";

/** Measures, limits and decisions of the iterations so far. */
export function healthOf(view: RunView): Health {
  const { guard } = view.store.config;
  const reports = view.store.iterations().flatMap((iteration) => reportOf(view, iteration) ?? []);
  const entries = reports.flatMap(({ base, iteration, measures, broken }): GuardEntry[] => {
    const healthy = !broken.some(({ action }) => action !== "warn");
    return [...(base ? [{ iteration: 0, measures: base, healthy: true }] : []), { iteration, measures, healthy }];
  });
  const names = [...new Set(entries.flatMap(({ measures }) => Object.keys(measures)))] as (keyof GuardEntry["measures"])[];
  return {
    enabled: guard.enabled,
    measures: names.map((measure): HealthMeasure => {
      const values = entries.flatMap(({ iteration, measures }) => {
        const value = measures[measure];
        return value === undefined ? [] : [{ iteration, value }];
      });
      return { measure, values, rules: rulesOf(view, measure, entries) };
    }),
    decisions: reports.map(({ iteration, decision, broken, best, histogram, heldOut }) => ({
      iteration,
      decision,
      broken,
      best,
      histogram,
      heldOut,
    })),
    notices: view.history.notices,
  };
}

function reportOf(view: RunView, iteration: number): GuardReport | undefined {
  const marker = view.marker(iteration, "guard") as unknown as GuardReport | undefined;
  return marker?.measures && Array.isArray(marker.broken) && marker.decision ? marker : undefined;
}

function rulesOf(view: RunView, measure: string, entries: readonly GuardEntry[]): HealthRule[] {
  const { rules, action } = view.store.config.guard;
  return rules
    .filter((rule) => rule.measure === measure)
    .map((rule) => {
      const { condition, limit } = conditionOf(rule);
      const bounds = entries.flatMap(({ iteration }, index) => {
        const bound = iteration === 0 ? undefined : boundOf(entries.slice(0, index), rule.measure, condition, limit);
        return bound === undefined ? [] : [{ iteration, bound }];
      });
      return { condition, limit, action: rule.action ?? action, patience: rule.patience, bounds };
    });
}

/** Coverage of the pools, and the map where it is made. */
export function diversityOf(view: RunView, map: StoredMap | null): Diversity {
  const iterations = view.store.iterations().flatMap((iteration) => {
    const metrics = view.marker(iteration, "curriculum") as unknown as CurriculumMetrics | undefined;
    if (metrics?.coverage === undefined) return [];
    return [{ iteration, questions: metrics.wellFormed, ...metrics.coverage }];
  });
  return { iterations, points: map?.points ?? [], clusters: map?.clusters ?? [], total: map?.total ?? 0 };
}

/** The matrix as far as it was measured. */
export function matrixOf(view: RunView): Matrix {
  return { ...matrixGrid(readMatrix(view.layout.matrix)), command: `rzero inspect ${view.name} --matrix` };
}
