// The co-evolution matrix: each iteration's Solver on each iteration's questions, the paper's table of difficulty, as a heat map whose
// cells also say their number.

import { useSignal } from "@preact/signals";
import { type Matrix, type MatrixCell, ROUTES } from "../../api.ts";
import { useLoad } from "../client.ts";
import { count, interval, percent } from "../numbers.ts";
import { Scroller } from "../parts/scroller.tsx";
import { Empty, Show } from "../parts/states.tsx";
import type { RunData } from "../run-data.ts";

const MEASURES = [
  { key: "agreement", title: "Agreement with the pseudo-label", of: (cell: MatrixCell) => cell.agreement },
  { key: "accuracy", title: "Accuracy, where truth is known", of: (cell: MatrixCell) => cell.accuracy },
  { key: "voteShare", title: "Vote share", of: (cell: MatrixCell) => cell.voteShare },
] as const;

export function MatrixView({ run }: { readonly run: RunData }) {
  const load = useLoad<Matrix>(ROUTES.matrix(run.name), run.phases);
  return (
    <Show load={load} what="the matrix">
      {(matrix) => (matrix.cells.length === 0 ? <NoMatrix command={matrix.command} /> : <HeatMap matrix={matrix} />)}
    </Show>
  );
}

function NoMatrix({ command }: { readonly command: string }) {
  return (
    <Empty>
      Each iteration’s Solver has not been asked each iteration’s questions yet. <code>{command}</code> asks them; the table
      appears here.
    </Empty>
  );
}

function HeatMap({ matrix }: { readonly matrix: Matrix }) {
  const chosen = useSignal<(typeof MEASURES)[number]["key"]>("agreement");
  const cells = matrix.cells.flat().filter((cell) => cell !== null);
  const offered = MEASURES.filter(({ of }) => cells.some((cell) => of(cell) !== undefined));
  const measure = offered.find(({ key }) => key === chosen.value) ?? offered[0];
  const values = cells.map((cell) => measure.of(cell)).filter((value) => value !== undefined);
  const low = Math.min(...values);
  const high = Math.max(...values);
  return (
    <>
      <div class="filters">
        <label>
          Cells show{" "}
          <select
            value={measure.key}
            onChange={(event) => {
              chosen.value = event.currentTarget.value as typeof chosen.value;
            }}
          >
            {offered.map(({ key, title }) => (
              <option key={key} value={key}>
                {title}
              </option>
            ))}
          </select>
        </label>
      </div>
      <p id="heat-title">
        {measure.title}: Solver of an iteration (row) on the questions of an iteration (column)
        {measure.key === "agreement" && ", with its 95 % interval"}
      </p>
      <Scroller label="Co-evolution matrix">
        <table class="heat" aria-labelledby="heat-title">
          <thead>
            <tr>
              <td />
              {matrix.questions.map((iteration) => (
                <th key={iteration} scope="col">
                  questions {iteration}
                </th>
              ))}
            </tr>
          </thead>
          <tbody>
            {matrix.solvers.map((solver, row) => (
              <tr key={solver}>
                <th scope="row">{solver === 0 ? "base" : `Solver ${solver}`}</th>
                {matrix.cells[row].map((cell, column) => (
                  <HeatCell
                    key={matrix.questions[column]}
                    cell={cell}
                    value={cell ? measure.of(cell) : undefined}
                    ends={[low, high]}
                    withInterval={measure.key === "agreement"}
                  />
                ))}
              </tr>
            ))}
          </tbody>
        </table>
      </Scroller>
      <p class="muted">
        Reading down a column: one set of questions, Solvers of later and later iterations. Reading along a row: one Solver,
        questions that get harder as the Challenger learns.
      </p>
    </>
  );
}

const STEPS = 8;

interface CellProps {
  readonly cell: MatrixCell | null;
  readonly value: number | undefined;
  /** Lowest and highest value of the table. */
  readonly ends: readonly [number, number];
  readonly withInterval: boolean;
}

function HeatCell({ cell, value, ends: [low, high], withInterval }: CellProps) {
  if (!cell || value === undefined) return <td class="heat-none">–</td>;
  const step = high > low ? Math.min(Math.floor(((value - low) / (high - low)) * STEPS), STEPS - 1) : STEPS - 1;
  return (
    <td class={`heat-${step}`} title={`${count(cell.questions)} questions, ${count(cell.samples)} answers`}>
      <strong>{percent(value)}</strong>
      {withInterval && <span>{interval(cell.ci95)}</span>}
    </td>
  );
}
