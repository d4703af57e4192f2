// Up to six runs on common axes: the scores of their iterations with intervals, and any curve of either role over the steps.

import { useSignal } from "@preact/signals";
import { useEffect, useMemo } from "preact/hooks";
import { type Comparison, CURVES, type CurveKey, MOST_COMPARED, ROUTES, type Role, type Runs } from "../../api.ts";
import { hrefTo } from "../address.ts";
import { useLoad } from "../client.ts";
import { listen, throttled } from "../live.ts";
import { interval, percent } from "../numbers.ts";
import { Chart, type Line, Swatch } from "../parts/chart.tsx";
import { Scroller } from "../parts/scroller.tsx";
import { Empty, Show } from "../parts/states.tsx";
import { route } from "../route.ts";
import { alignLines } from "../series.ts";

const REFRESH_MS = 2000;

export function CompareView() {
  const names = (route.value.query.get("runs") ?? "").split(",").filter(Boolean).slice(0, MOST_COMPARED);
  const search = names.map((name) => `run=${encodeURIComponent(name)}`).join("&");
  const version = useSignal(0);
  const load = useLoad<Comparison>(names.length === 0 ? undefined : `${ROUTES.compare}?${search}&points=1000`, version.value);
  useEffect(() => {
    document.title = "Compare · rzero";
    const refresh = throttled(() => {
      version.value++;
    }, REFRESH_MS);
    let known = "";
    return listen(ROUTES.watch, {
      runs: ({ runs }: Runs) => {
        const now = runs.flatMap(({ name, updated }) => (names.includes(name) ? [`${name} ${updated}`] : [])).join();
        if (known !== "" && known !== now) refresh();
        known = now;
      },
    });
  }, [search]);
  if (names.length === 0)
    return (
      <Empty>
        Nothing to compare. <a href={hrefTo([])}>Choose runs</a>
      </Empty>
    );
  return (
    <section>
      <h1>Compare {names.length} runs</h1>
      <Show load={load} what="the runs">
        {(comparison) => <Compared comparison={comparison} />}
      </Show>
    </section>
  );
}

function Compared({ comparison: { runs } }: { readonly comparison: Comparison }) {
  return (
    <>
      <ul class="legend">
        {runs.map(({ row }, index) => (
          <li key={row.name}>
            <Swatch colour={index} /> <a href={hrefTo(["run", row.name])}>{row.name}</a>{" "}
            <span class="muted">
              {row.recipe} {row.preset} seed {row.seed}
            </span>
          </li>
        ))}
      </ul>
      <h2>Scores</h2>
      <ScoreChart runs={runs} />
      <ScoreTable runs={runs} />
      <RoleCurves runs={runs} of="challenger" title="Challenger" />
      <RoleCurves runs={runs} of="solver" title="Solver" />
    </>
  );
}

type Compared = Comparison["runs"];

/** Mean over benchmarks of a run's Solver, by iteration. */
function meansOf({ scores }: Compared[number]): { x: number[]; values: number[] } {
  const solver = scores.columns.filter(({ line }) => line === "solver");
  const mean = (benches: (typeof solver)[number]["benches"]) =>
    benches.reduce((sum, { sampled }) => sum + sampled.mean, 0) / benches.length;
  return { x: solver.map(({ iteration }) => iteration), values: solver.map(({ benches }) => mean(benches)) };
}

function ScoreChart({ runs }: { readonly runs: Compared }) {
  const { x, lines } = useMemo(
    () => alignLines(runs.map((run, colour) => ({ label: run.row.name, colour, ...meansOf(run) }))),
    [runs],
  );
  if (x.length === 0) return <Empty>No run has been evaluated yet.</Empty>;
  return (
    <Chart
      title="mean score over benchmarks, by iteration (0: base)"
      x={x}
      lines={lines}
      group="scores"
      xName="iteration"
      format={percent}
      height={200}
    />
  );
}

function ScoreTable({ runs }: { readonly runs: Compared }) {
  const last = Math.max(0, ...runs.flatMap(({ scores }) => scores.columns.map(({ iteration }) => iteration)));
  const iterations = Array.from({ length: last + 1 }, (_, iteration) => iteration);
  const cell = (run: Compared[number], iteration: number) => {
    const column = run.scores.columns.find((one) => one.iteration === iteration && one.line === "solver");
    if (!column) return "–";
    const [bench] = column.benches;
    return column.benches.length === 1 ? (
      <>
        {percent(bench.sampled.mean)} <span class="muted">{interval(bench.sampled.ci95)}</span>
      </>
    ) : (
      percent(meansOf(run).values[meansOf(run).x.indexOf(iteration)])
    );
  };
  return (
    <Scroller label="Scores by iteration">
      <table class="table">
        <thead>
          <tr>
            <th scope="col">Run</th>
            {iterations.map((iteration) => (
              <th key={iteration} scope="col" class="number">
                {iteration === 0 ? "base" : `iteration ${iteration}`}
              </th>
            ))}
          </tr>
        </thead>
        <tbody>
          {runs.map((run) => (
            <tr key={run.row.name}>
              <th scope="row">{run.row.name}</th>
              {iterations.map((iteration) => (
                <td key={iteration} class="number">
                  {cell(run, iteration)}
                </td>
              ))}
            </tr>
          ))}
        </tbody>
      </table>
    </Scroller>
  );
}

function RoleCurves({ runs, of: role, title }: { readonly runs: Compared; readonly of: Role; readonly title: string }) {
  const charts = useMemo(
    () =>
      CURVES.map(({ key, title: name }) => ({ key, name, ...linesOf(runs, role, key) })).filter(({ lines }) => lines.length > 0),
    [runs, role],
  );
  if (charts.length === 0) return null;
  return (
    <>
      <h2>{title}, by step</h2>
      <div class="charts">
        {charts.map(({ key, name, x, lines }) => (
          <Chart key={key} title={name} x={x} lines={lines} group={role} xName="step" />
        ))}
      </div>
    </>
  );
}

function linesOf(runs: Compared, role: Role, key: CurveKey): { x: number[]; lines: Line[] } {
  const given = runs.flatMap(({ row, curves }, colour) => {
    const set = curves.find((one) => one.role === role);
    const values = set?.curves[key];
    return set && values ? [{ label: row.name, colour, x: set.x, values }] : [];
  });
  return alignLines(given);
}
