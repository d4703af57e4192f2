// The final table, one per benchmark: every scored policy a column, scores with their 95 % interval as text and as a whisker on a common
// axis. Denominators are said in the heading; what could not be read is a row of its own.

import { useSignal } from "@preact/signals";
import type { BenchScore, ScoreColumn, Scores } from "../../api.ts";
import { count, interval, percent } from "../numbers.ts";
import { Scroller } from "./scroller.tsx";

interface Column {
  readonly title: string;
  readonly best: boolean;
  readonly score: BenchScore | undefined;
}

export interface ScoreTablesProps {
  readonly scores: Scores;
  /** Whether the run is over: its best iteration can change until then. */
  readonly over: boolean;
}

export function ScoreTables({ scores: { columns, best }, over }: ScoreTablesProps) {
  const names = [...new Set(columns.flatMap(({ benches }) => benches.map(({ name }) => name)))];
  return (
    <>
      {names.map((name) => (
        <BenchTable
          key={name}
          name={name}
          columns={columns.map((column) => ({
            title: titleOf(column),
            best: column.line === "solver" && column.iteration === best?.iteration,
            score: column.benches.find((bench) => bench.name === name),
          }))}
        />
      ))}
      {best && (
        <p class="muted">
          ★ {over ? "the iteration the run ends with" : "the best iteration so far"}:{" "}
          {best.iteration === 0 ? "the base model" : best.iteration}
          {best.by && ` (by the ${best.by})`}.
        </p>
      )}
    </>
  );
}

function titleOf({ iteration, line }: ScoreColumn): string {
  if (iteration === 0) return line === "forced-prefix" ? "base, thinking" : "base";
  return `iteration ${iteration}${line === "forced-prefix" ? ", thinking" : ""}`;
}

function BenchTable({ name, columns }: { readonly name: string; readonly columns: readonly Column[] }) {
  const any = columns.find(({ score }) => score)?.score as BenchScore;
  const { questions, samples, temperature } = any;
  const parts = useSignal(false);
  return (
    <Scroller label={`Scores on ${name}`}>
      <table class="table scores">
        <caption>
          <strong>{name}</strong>: {count(questions)} questions, mean@{samples} at temperature {temperature}
        </caption>
        <thead>
          <tr>
            <td />
            {columns.map(({ title, best }) => (
              <th key={title} scope="col" class={best ? "number best" : "number"}>
                {best && "★ "}
                {title}
              </th>
            ))}
          </tr>
        </thead>
        <tbody>
          <Row title="all questions" columns={columns} cell={({ sampled }) => <strong>{percent(sampled.mean)}</strong>} />
          <Row
            title="95 % interval"
            columns={columns}
            cell={({ sampled }) => (
              <>
                <Whisker mean={sampled.mean} ci95={sampled.ci95} range={rangeOf(columns)} />
                {interval(sampled.ci95)}
              </>
            )}
          />
          <Row title="greedy" columns={columns} cell={({ greedy }) => percent(greedy?.mean)} />
          <Row title={`pass@${samples}`} columns={columns} cell={({ passAtK }) => percent(passAtK)} />
          {any.thinks !== undefined && (
            <Row title="answers that think" columns={columns} cell={({ thinks }) => percent(thinks)} />
          )}
          <Row
            title="answers without a box"
            columns={columns}
            cell={({ sampled }) => percent(sampled.unparsed / (questions * samples))}
          />
          <Row
            title="truncated answers"
            columns={columns}
            cell={({ sampled }) => percent(sampled.truncated / (questions * samples))}
          />
        </tbody>
        {parts.value && (
          <>
            <Parts of="kinds" columns={columns} any={any} title={(key) => key} />
            <Parts of="levels" columns={columns} any={any} title={(key) => `level ${key}`} />
            <Parts of="categories" columns={columns} any={any} title={(key) => key} />
          </>
        )}
      </table>
      {PARTS.some((of) => Object.keys(any.sampled[of]).length > 1) && (
        <button
          type="button"
          aria-expanded={parts.value}
          onClick={() => {
            parts.value = !parts.value;
          }}
        >
          {parts.value ? "Hide" : "Show"} kinds, levels and categories
        </button>
      )}
    </Scroller>
  );
}

interface RowProps {
  readonly title: string;
  readonly columns: readonly Column[];
  readonly cell: (score: BenchScore) => preact.ComponentChildren;
}

function Row({ title, columns, cell }: RowProps) {
  return (
    <tr>
      <th scope="row">{title}</th>
      {columns.map(({ title: column, best, score }) => (
        <td key={column} class={best ? "number best" : "number"}>
          {score ? cell(score) : "–"}
        </td>
      ))}
    </tr>
  );
}

const PARTS = ["kinds", "levels", "categories"] as const;

interface PartsProps {
  readonly of: (typeof PARTS)[number];
  readonly columns: readonly Column[];
  readonly any: BenchScore;
  readonly title: (key: string) => string;
}

/** Rows of the parts of a benchmark, under a line. */
function Parts({ of, columns, any, title }: PartsProps) {
  const keys = Object.keys(any.sampled[of]);
  if (keys.length < 2) return null;
  return (
    <tbody>
      {keys.map((key) => (
        <Row key={key} title={title(key)} columns={columns} cell={({ sampled }) => percent(sampled[of][key])} />
      ))}
    </tbody>
  );
}

type Range = readonly [low: number, high: number];

function rangeOf(columns: readonly Column[]): Range {
  const ends = columns.flatMap(({ score }) => (score ? score.sampled.ci95 : []));
  return [Math.min(...ends), Math.max(...ends)];
}

const WIDTH = 72;

/** A point and its interval on the axis that all columns share. */
function Whisker({
  mean,
  ci95: [low, high],
  range: [from, to],
}: {
  readonly mean: number;
  readonly ci95: Range;
  readonly range: Range;
}) {
  const x = (value: number) => 4 + ((value - from) / Math.max(to - from, 1e-9)) * (WIDTH - 8);
  return (
    <svg class="whisker" viewBox={`0 0 ${WIDTH} 10`} aria-hidden="true">
      <line x1="0" x2={WIDTH} y1="5" y2="5" class="whisker-axis" />
      <line x1={x(low)} x2={x(high)} y1="5" y2="5" class="whisker-line" />
      <circle cx={x(mean)} cy="5" r="3" class="whisker-mean" />
    </svg>
  );
}
