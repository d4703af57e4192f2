// A run at a glance, live: the timeline of its phases, what it does now, scores with intervals, the curves of both roles, what went wrong,
// and how it was made.

import { useMemo } from "preact/hooks";
import { CURVES, type CurveSet, type LiveProgress, ROUTES, type RunDetail, type Scores } from "../../api.ts";
import { useLoad } from "../client.ts";
import { count, formatCount } from "../numbers.ts";
import { Chart, type Mark } from "../parts/chart.tsx";
import { MathText } from "../parts/math.tsx";
import { Notices } from "../parts/notices.tsx";
import { ScoreTables } from "../parts/score-tables.tsx";
import { Scroller } from "../parts/scroller.tsx";
import { Empty, Show } from "../parts/states.tsx";
import { Timeline } from "../parts/timeline.tsx";
import type { RunData } from "../run-data.ts";

export function OverviewView({ run }: { readonly run: RunData }) {
  return (
    <>
      <Show load={run.detail} what="the run">
        {(detail) => <Now detail={detail} progress={run.row?.state === "running" ? run.progress : undefined} />}
      </Show>
      <ScorePart run={run} />
      <CurvePart run={run} />
      <Show load={run.detail} what="how it was made">
        {(detail) => <Making detail={detail} />}
      </Show>
    </>
  );
}

function Now({ detail, progress }: { readonly detail: RunDetail; readonly progress?: LiveProgress }) {
  return (
    <>
      <Timeline spans={detail.timeline} />
      {progress && <LiveLine progress={progress} />}
      {detail.example !== undefined && (
        <p class="example">
          <span class="muted">Newest question:</span> <MathText text={detail.example} inline />
        </p>
      )}
      <Notices notices={detail.notices} />
    </>
  );
}

function LiveLine({ progress: { iteration, phase, activity, done, total, tokens } }: { readonly progress: LiveProgress }) {
  return (
    <p class="live-line">
      <span>
        Iteration {iteration}, {phase}: {activity}
      </span>
      <progress value={done} max={Math.max(total, 1)} aria-label={activity} />
      <span class="figure">
        {count(done)} of {count(total)}
      </span>
      {tokens > 0 && <span class="muted">{formatCount(tokens)} tokens</span>}
    </p>
  );
}

function ScorePart({ run }: { readonly run: RunData }) {
  const load = useLoad<Scores>(ROUTES.scores(run.name), run.phases);
  return (
    <>
      <h2>Scores</h2>
      <Show load={load} what="the scores">
        {(scores) =>
          scores.columns.length === 0 ? (
            <Empty>Nothing has been evaluated yet.</Empty>
          ) : (
            <ScoreTables scores={scores} over={run.row?.state === "done"} />
          )
        }
      </Show>
    </>
  );
}

function CurvePart({ run }: { readonly run: RunData }) {
  const load = useLoad<readonly CurveSet[]>(`${ROUTES.curves(run.name)}?points=1000`, run.version);
  return (
    <Show load={load} what="the curves">
      {(sets) => {
        const filled = sets.filter(({ x }) => x.length > 0);
        if (filled.length === 0) return <Empty>No step has been made yet; curves begin with the first.</Empty>;
        return filled.map((set) => <RoleCurves key={set.role} set={set} />);
      }}
    </Show>
  );
}

function RoleCurves({ set }: { readonly set: CurveSet }) {
  const marks = useMemo(() => beginnings(set), [set]);
  const charts = useMemo(
    () =>
      CURVES.flatMap(({ key, title }) =>
        set.curves[key]
          ? [{ key, title, lines: [{ label: title, values: set.curves[key], colour: set.role === "challenger" ? 1 : 0 }] }]
          : [],
      ),
    [set],
  );
  return (
    <>
      <h2>
        {set.role === "challenger" ? "Challenger" : "Solver"}{" "}
        <span class="muted">by step, {count(set.x[set.x.length - 1])} steps</span>
      </h2>
      <div class="charts">
        {charts.map(({ key, title, lines }) => (
          <Chart key={key} title={title} x={set.x} lines={lines} marks={marks} group={set.role} xName="step" />
        ))}
      </div>
    </>
  );
}

/** Where each iteration begins on the axis of steps. */
function beginnings({ x, iteration }: CurveSet): Mark[] {
  return iteration.flatMap((value, index) =>
    index > 0 && iteration[index - 1] !== value ? [{ x: x[index] - 0.5, label: `it. ${value}` }] : [],
  );
}

function Making({ detail: { row, made, config } }: { readonly detail: RunDetail }) {
  const facts: [string, string | undefined][] = [
    ["recipe", row.recipe],
    ["preset", row.preset],
    ["seed", row.seed === undefined ? undefined : String(row.seed)],
    ["base", row.base],
    ["engine", row.engine],
    ["created", row.created?.replace("T", " ").replace(/\.\d+Z$/, " UTC")],
    ...Object.entries(made),
  ];
  return (
    <>
      <h2>How it was made</h2>
      <dl class="facts">
        {facts.map(
          ([name, value]) =>
            value !== undefined && (
              <div key={name}>
                <dt>{name}</dt>
                <dd>{value}</dd>
              </div>
            ),
        )}
      </dl>
      <details>
        <summary>Configuration</summary>
        <Scroller label="Configuration">
          <pre>{config}</pre>
        </Scroller>
      </details>
    </>
  );
}
