// The guard: every measure over the iterations with the limits it was held to, what was decided after each iteration and why, and the
// vote shares of each pool.

import { useMemo } from "preact/hooks";
import { type GuardDecision, type Health, type HealthMeasure, type HealthRule, ROUTES } from "../../api.ts";
import { useLoad } from "../client.ts";
import { count, percent, short } from "../numbers.ts";
import { Chart, type Line } from "../parts/chart.tsx";
import { Notices } from "../parts/notices.tsx";
import { Scroller } from "../parts/scroller.tsx";
import { Empty, Show } from "../parts/states.tsx";
import type { RunData } from "../run-data.ts";
import { alignLines } from "../series.ts";
import { measureText } from "../words.ts";

export function HealthView({ run }: { readonly run: RunData }) {
  const load = useLoad<Health>(ROUTES.health(run.name), run.phases);
  return (
    <Show load={load} what="the guard’s measures">
      {(health) => (
        <>
          {!health.enabled && (
            <Empty>The guard is off in this run (guard.enabled: false): nothing was measured or decided.</Empty>
          )}
          <Notices notices={health.notices} />
          {health.enabled && health.decisions.length === 0 && (
            <Empty>The guard has not measured yet; it does after the first Solver phase.</Empty>
          )}
          {health.decisions.length > 0 && <Decisions decisions={health.decisions} />}
          {health.measures.length > 0 && <Measures measures={health.measures} />}
        </>
      )}
    </Show>
  );
}

function decisionText(decision: GuardDecision): string {
  if (decision.action !== "rollback")
    return { none: "go on", warn: "go on, with a warning", stop: "stop the run" }[decision.action];
  return decision.to === 0 ? "go back to the base model" : `go back to iteration ${decision.to}`;
}

function Decisions({ decisions }: { readonly decisions: Health["decisions"] }) {
  return (
    <>
      <h2>Decisions</h2>
      <Scroller label="Decisions of the guard">
        <table class="table cards">
          <thead>
            <tr>
              <th scope="col">Iteration</th>
              <th scope="col">Decision</th>
              <th scope="col">Why</th>
              <th scope="col">Best so far</th>
              <th scope="col" class="number">
                Held-out questions
              </th>
              <th scope="col">Vote shares of the pool, 0 to 100 %</th>
            </tr>
          </thead>
          <tbody>
            {decisions.map(({ iteration, decision, broken, best, histogram, heldOut }) => (
              <tr key={iteration}>
                <th scope="row">{iteration}</th>
                <td data-label="Decision">
                  <span class={`decision decision-${decision.action}`}>{decisionText(decision)}</span>
                </td>
                <td data-label="Why" class="why">
                  {broken.length === 0
                    ? "no rule broken"
                    : broken.map(({ reason, action }) => <p key={reason}>{`${reason} (${action})`}</p>)}
                </td>
                <td data-label="Best so far">
                  {best.iteration === 0 ? "base" : `iteration ${best.iteration}`}{" "}
                  {best.score !== undefined && <span class="muted">score {percent(best.score)}</span>}
                </td>
                <td data-label="Held out" class="number">
                  {count(heldOut)}
                </td>
                <td data-label="Vote shares">
                  <Histogram counts={histogram} />
                </td>
              </tr>
            ))}
          </tbody>
        </table>
      </Scroller>
    </>
  );
}

/** Counts in ten bins of the vote share. */
function Histogram({ counts }: { readonly counts: readonly number[] }) {
  const most = Math.max(1, ...counts);
  const text = counts.map((many, bin) => `${10 * bin}–${10 * bin + 10} %: ${many}`).join(", ");
  return (
    <svg class="histogram" viewBox="0 0 100 28" role="img" aria-label={text}>
      <title>{text}</title>
      {counts.map((many, bin) => (
        <rect key={bin} x={bin * 10 + 0.75} width="8.5" y={28 - (27 * many) / most} height={(27 * many) / most} class="fill-1" />
      ))}
    </svg>
  );
}

const CONDITIONS: Readonly<Record<HealthRule["condition"], (limit: string) => string>> = {
  below: (limit) => `not below ${limit}`,
  above: (limit) => `not above ${limit}`,
  fall: (limit) => `not more than ${limit} below the best`,
  rise: (limit) => `not more than ${limit} above the base`,
  times: (limit) => `not more than ${limit} times the base’s`,
};

/** A rule in words, its limit in the unit of the measure; a distance between shares is in percentage points. */
function ruleText({ condition, limit, action, patience }: HealthRule, share: boolean): string {
  const unit =
    !share || condition === "times"
      ? short(limit)
      : `${short(100 * limit)} ${condition === "fall" || condition === "rise" ? "pp" : "%"}`;
  return `${CONDITIONS[condition](unit)}${patience > 1 ? ` for ${patience} iterations` : ""}, else ${action}`;
}

function Measures({ measures }: { readonly measures: readonly HealthMeasure[] }) {
  return (
    <>
      <h2>
        Measures <span class="muted">by iteration, 0: base model; dotted: limits</span>
      </h2>
      <div class="charts">
        {measures.map((measure) => (
          <Measure key={measure.measure} measure={measure} />
        ))}
      </div>
    </>
  );
}

const LIMIT_COLOUR = 1;

function Measure({ measure: { measure, values, rules } }: { readonly measure: HealthMeasure }) {
  const { title, share } = measureText(measure);
  const { x, lines } = useMemo(() => {
    const limits = rules
      .filter(({ bounds }) => bounds.length > 0)
      .map((rule) => ({
        label: `limit: ${ruleText(rule, share)}`,
        colour: LIMIT_COLOUR,
        limit: true,
        x: rule.bounds.map(({ iteration }) => iteration),
        values: rule.bounds.map(({ bound }) => bound),
      }));
    const own = {
      label: title,
      colour: 0,
      x: values.map(({ iteration }) => iteration),
      values: values.map(({ value }) => value),
    };
    return alignLines([own, ...limits]) as { x: number[]; lines: Line[] };
  }, [title, share, values, rules]);
  return (
    <div>
      <Chart
        title={title}
        x={x}
        lines={lines}
        group="guard"
        xName="iteration"
        format={share ? (value) => percent(value) : short}
      />
      {rules.map((rule) => (
        <p key={ruleText(rule, share)} class="rule">
          {ruleText(rule, share)}
        </p>
      ))}
    </div>
  );
}
