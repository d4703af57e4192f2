// All runs, live: state, recipe, engine, progress and time left, base → best score; and the choice of those to compare.

import { useSignal } from "@preact/signals";
import { useEffect } from "preact/hooks";
import { MOST_COMPARED, ROUTES, type RunRow, type Runs } from "../../api.ts";
import { hrefTo } from "../address.ts";
import { useLoad } from "../client.ts";
import { now } from "../clock.ts";
import { moveFocus } from "../keys.ts";
import { listen } from "../live.ts";
import { ago, formatDuration, interval, percent, points } from "../numbers.ts";
import { StateMark } from "../parts/state-mark.tsx";
import { Empty, Show } from "../parts/states.tsx";
import { go } from "../route.ts";

export function RunsView() {
  const told = useSignal<Runs | undefined>(undefined);
  const chosen = useSignal<readonly string[]>([]);
  const load = useLoad<Runs>(ROUTES.runs);
  useEffect(() => {
    document.title = "Runs · rzero";
    return listen(ROUTES.watch, {
      runs: (runs: Runs) => {
        told.value = runs;
      },
    });
  }, [told]);
  const compare = () => go(["compare"], { runs: chosen.value.join(",") });
  return (
    <section>
      <div class="heading">
        <h1>Runs</h1>
        <button type="button" class="primary" disabled={chosen.value.length < 2} onClick={compare}>
          Compare {chosen.value.length > 0 ? chosen.value.length : ""}
        </button>
        <span class="muted">{chosen.value.length < 2 ? `Choose 2 to ${MOST_COMPARED} runs to compare.` : ""}</span>
      </div>
      <Show load={{ ...load, value: told.value ?? load.value }} what="the runs">
        {({ root, runs }) =>
          runs.length === 0 ? (
            <Empty>
              No runs in <code>{root}</code> yet. <code>rzero run</code> starts one; it appears here by itself.
            </Empty>
          ) : (
            <RunTable
              runs={newestFirst(runs)}
              chosen={chosen.value}
              choose={(name) => (chosen.value = toggled(chosen.value, name))}
            />
          )
        }
      </Show>
    </section>
  );
}

/** Runs that cannot be read have no time of their own and come last. */
function newestFirst(runs: readonly RunRow[]): RunRow[] {
  return [...runs].sort((a, b) => (b.created ?? "").localeCompare(a.created ?? "") || a.name.localeCompare(b.name));
}

function toggled(chosen: readonly string[], name: string): readonly string[] {
  if (chosen.includes(name)) return chosen.filter((other) => other !== name);
  return chosen.length < MOST_COMPARED ? [...chosen, name] : chosen;
}

interface RunTableProps {
  readonly runs: readonly RunRow[];
  readonly chosen: readonly string[];
  readonly choose: (name: string) => void;
}

function RunTable({ runs, chosen, choose }: RunTableProps) {
  return (
    <table class="table cards" onKeyDown={(event) => moveFocus(event, "a")}>
      <thead>
        <tr>
          <th scope="col">
            <span class="unseen">Compare</span>
          </th>
          <th scope="col">Run</th>
          <th scope="col">State</th>
          <th scope="col">Recipe</th>
          <th scope="col">Engine</th>
          <th scope="col">Progress</th>
          <th scope="col" class="number">
            Time left
          </th>
          <th scope="col" class="number">
            Base → best
          </th>
          <th scope="col" class="number">
            Last event
          </th>
        </tr>
      </thead>
      <tbody>
        {runs.map((run) => (
          <RunLine key={run.name} run={run} chosen={chosen} choose={choose} />
        ))}
      </tbody>
    </table>
  );
}

function RunLine({ run, chosen, choose }: { readonly run: RunRow } & Omit<RunTableProps, "runs">) {
  const isChosen = chosen.includes(run.name);
  const damaged = run.state === "damaged";
  return (
    <tr>
      <td>
        <input
          type="checkbox"
          aria-label={`Compare ${run.name}`}
          checked={isChosen}
          disabled={damaged || (!isChosen && chosen.length >= MOST_COMPARED)}
          onChange={() => choose(run.name)}
        />
      </td>
      <th scope="row">
        <a href={hrefTo(["run", run.name])}>{run.name}</a>
      </th>
      <td data-label="State">
        <StateMark state={run.state} />
      </td>
      <td data-label="Recipe">
        {run.recipe ?? "–"} {run.preset && <span class="muted">{run.preset}</span>}
        {run.seed !== undefined && <span class="muted"> seed {run.seed}</span>}
      </td>
      <td data-label="Engine">{run.engine ?? "–"}</td>
      <td data-label="Progress">
        {damaged ? <span class="problem">{run.problem ?? "It cannot be read."}</span> : <Progress run={run} />}
      </td>
      <td data-label="Time left" class="number">
        {run.state === "running" && run.secondsLeft !== undefined ? formatDuration(run.secondsLeft) : "–"}
      </td>
      <td data-label="Base → best" class="number">
        <Gain run={run} />
      </td>
      <td data-label="Last event" class="number">
        {run.updated ? <time dateTime={run.updated}>{ago(run.updated, now.value)}</time> : "–"}
      </td>
    </tr>
  );
}

/** How far a run is, and where. */
function Progress({ run: { progress, at, state, iterations } }: { readonly run: RunRow }) {
  const where = at && state !== "done" ? `iteration ${at.iteration}${iterations ? ` of ${iterations}` : ""}, ${at.phase}` : "";
  return (
    <span class="progress-cell">
      <progress value={progress} max={1} aria-label="Progress">
        {percent(progress, 0)}
      </progress>
      <span class="figure">{percent(progress, 0)}</span>
      {where && <span class="muted">{where}</span>}
    </span>
  );
}

function Gain({ run: { baseScore, bestScore } }: { readonly run: RunRow }) {
  if (!baseScore) return <>–</>;
  if (!bestScore || bestScore.iteration === 0) return <>{percent(baseScore.mean)}</>;
  const tip = bestScore.ci95 ? `95 % interval ${interval(bestScore.ci95)}, iteration ${bestScore.iteration}` : undefined;
  return (
    <span title={tip}>
      {percent(baseScore.mean)} → <strong>{percent(bestScore.mean)}</strong>{" "}
      <span class="muted">{points(bestScore.mean - baseScore.mean)}</span>
    </span>
  );
}
