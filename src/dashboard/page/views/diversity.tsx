// How various the questions stay: coverage per iteration, a map on which near wordings are near, and its clusters with their sizes over
// the iterations. From a point to its question, from a cluster to its questions.

import { useSignal } from "@preact/signals";
import { useMemo } from "preact/hooks";
import { type Diversity, ROUTES } from "../../api.ts";
import { hrefTo } from "../address.ts";
import { useLoad } from "../client.ts";
import { count, percent } from "../numbers.ts";
import { ClusterMap } from "../parts/cluster-map.tsx";
import { QuestionText } from "../parts/math.tsx";
import { Scroller } from "../parts/scroller.tsx";
import { Empty, Show } from "../parts/states.tsx";
import type { RunData } from "../run-data.ts";

export function DiversityView({ run }: { readonly run: RunData }) {
  const load = useLoad<Diversity>(ROUTES.diversity(run.name), run.phases);
  return (
    <Show load={load} what="the map of the questions">
      {(diversity) =>
        diversity.iterations.length === 0 && diversity.points.length === 0 ? (
          <Empty>No curriculum phase is over yet; the map begins with the first.</Empty>
        ) : (
          <>
            <Coverage diversity={diversity} />
            <QuestionMap run={run.name} diversity={diversity} />
          </>
        )
      }
    </Show>
  );
}

function Coverage({ diversity: { iterations } }: { readonly diversity: Diversity }) {
  return (
    <>
      <h2>Coverage by iteration</h2>
      <Scroller label="Coverage by iteration">
        <table class="table">
          <thead>
            <tr>
              <th scope="col">Iteration</th>
              <th scope="col" class="number">
                Questions
              </th>
              <th scope="col" class="number">
                Different texts
              </th>
              <th scope="col" class="number">
                New since the start
              </th>
              <th scope="col" class="number">
                Different n-grams
              </th>
              <th scope="col" class="number">
                Clusters
              </th>
            </tr>
          </thead>
          <tbody>
            {iterations.map((one) => (
              <tr key={one.iteration}>
                <th scope="row">{one.iteration}</th>
                <td class="number">{count(one.questions)}</td>
                <td class="number">{percent(one.distinctShare)}</td>
                <td class="number">{percent(one.newShare)}</td>
                <td class="number">{percent(one.distinctGramShare)}</td>
                <td class="number">
                  {count(one.clusters)} <span class="muted">in the first {count(one.clustered)}</span>
                </td>
              </tr>
            ))}
          </tbody>
        </table>
      </Scroller>
    </>
  );
}

function QuestionMap({ run, diversity }: { readonly run: string; readonly diversity: Diversity }) {
  const { points, clusters, total } = diversity;
  const shown = useSignal<number | undefined>(undefined);
  const iterations = useMemo(() => [...new Set(points.map(({ iteration }) => iteration))].sort((a, b) => a - b), [points]);
  if (points.length === 0) return <Empty>There are no questions to map yet.</Empty>;
  return (
    <>
      <h2>
        Map of the questions{" "}
        <span class="muted">
          {points.length < total ? `${count(points.length)} of ${count(total)}` : `all ${count(total)}`}; near wordings are near
        </span>
      </h2>
      <div class="filters">
        <label>
          Iteration{" "}
          <select
            value={shown.value ?? ""}
            onChange={(event) => {
              shown.value = event.currentTarget.value === "" ? undefined : Number(event.currentTarget.value);
            }}
          >
            <option value="">all</option>
            {iterations.map((iteration) => (
              <option key={iteration} value={iteration}>
                {iteration}
              </option>
            ))}
          </select>
        </label>
      </div>
      <ClusterMap run={run} points={points} clusters={clusters} iterations={iterations} shown={shown.value} />
      <Clusters run={run} clusters={clusters} iterations={iterations} />
    </>
  );
}

interface ClustersProps {
  readonly run: string;
  readonly clusters: Diversity["clusters"];
  readonly iterations: readonly number[];
}

const LISTED = 40;

function Clusters({ run, clusters, iterations }: ClustersProps) {
  const largest = Math.max(1, ...clusters.flatMap(({ sizes }) => Object.values(sizes)));
  return (
    <>
      <h2>
        Clusters{" "}
        <span class="muted">
          {clusters.length > LISTED ? `the ${LISTED} largest of ${count(clusters.length)}` : "by size"}, questions per iteration
        </span>
      </h2>
      <Scroller label="Clusters by size">
        <table class="table">
          <thead>
            <tr>
              <th scope="col" class="number">
                Cluster
              </th>
              <th scope="col">Question at its middle</th>
              {iterations.map((iteration) => (
                <th key={iteration} scope="col" class="number">
                  it. {iteration}
                </th>
              ))}
            </tr>
          </thead>
          <tbody>
            {clusters.slice(0, LISTED).map(({ cluster, example, sizes }) => (
              <tr key={cluster}>
                <td class="number">{cluster}</td>
                <th scope="row" class="cluster-example">
                  <a href={hrefTo(["run", run, "questions"], { cluster })}>
                    <QuestionText text={example} />
                  </a>
                </th>
                {iterations.map((iteration) => (
                  <td key={iteration} class="number size">
                    <span class="size-bar" style={{ width: `${(100 * (sizes[iteration] ?? 0)) / largest}%` }} />
                    <span class="size-text">{sizes[iteration] ? count(sizes[iteration]) : "–"}</span>
                  </td>
                ))}
              </tr>
            ))}
          </tbody>
        </table>
      </Scroller>
    </>
  );
}
