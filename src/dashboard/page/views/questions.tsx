// Every question of a run: filter, sort, search, and a list of any length. The filter is in the address, so that a view can be shared and
// "back" finds it again.

import { useMemo } from "preact/hooks";
import { useKeys } from "../keys.ts";
import { useNarrow } from "../narrow.ts";
import { count } from "../numbers.ts";
import { QuestionFilter } from "../parts/question-filter-bar.tsx";
import { COLUMNS, QuestionCells, QuestionHead } from "../parts/question-row.tsx";
import { Empty, Failure, Loading } from "../parts/states.tsx";
import { VirtualRows } from "../parts/virtual-rows.tsx";
import { filterOf } from "../question-filter.ts";
import { useQuestions } from "../question-pages.ts";
import { changeQuery, route } from "../route.ts";
import type { RunData } from "../run-data.ts";

const ROW = 40;
const NARROW_ROW = 92;

export function QuestionsView({ run }: { readonly run: RunData }) {
  const { query } = route.value;
  const filter = useMemo(() => filterOf(run.name, query), [run.name, query]);
  const rows = useQuestions(filter, run.phases);
  const narrow = useNarrow();
  useKeys({ "/": () => document.getElementById("search")?.focus() });
  const sorted = { by: filter.sort ?? "order", descending: filter.descending === true };
  const sort = (by: string) => changeQuery({ sort: by, down: sorted.by === by && !sorted.descending ? 1 : undefined });
  return (
    <>
      <QuestionFilter query={query} iterations={run.row?.iterations ?? 0} />
      <p class="count" role="status">
        <Count rows={rows} />
      </p>
      {rows.error && !rows.ready && <Failure error={rows.error} />}
      {!rows.ready && !rows.error && <Loading what="the questions" />}
      {rows.ready && rows.count === 0 && <Nothing run={run} filtered={isFiltered(query)} />}
      {rows.count > 0 && (
        <VirtualRows
          label="Questions"
          count={rows.count}
          rowHeight={narrow ? NARROW_ROW : ROW}
          columns={COLUMNS.length}
          name={`${run.name}?${query}`}
          onRange={rows.onRange}
          head={<QuestionHead sorted={sorted} sort={sort} />}
          row={(index, current) => <QuestionCells row={rows.rowAt(index)} number={index + 1} current={current} query={query} />}
        />
      )}
    </>
  );
}

function Count({ rows: { total, count: known, index, ready } }: { readonly rows: ReturnType<typeof useQuestions> }) {
  if (!ready) return null;
  const found =
    total === undefined ? `more than ${count(known)} questions, counting …` : `${count(total)} question${total === 1 ? "" : "s"}`;
  const building = index?.state === "building" ? ` · indexing, ${Math.round(100 * index.done)} % read: more will come` : "";
  return (
    <>
      {found}
      {building}
      {index?.state === "failed" && ` · the index failed: ${index.problem ?? "unknown reason"}`}
    </>
  );
}

const SORT_KEYS = new Set(["sort", "down"]);

function isFiltered(query: URLSearchParams): boolean {
  return [...query.keys()].some((key) => !SORT_KEYS.has(key));
}

function Nothing({ run, filtered }: { readonly run: RunData; readonly filtered: boolean }) {
  if (filtered) return <Empty>No question meets these conditions.</Empty>;
  return (
    <Empty>
      No questions yet: they come with the first curriculum phase
      {run.row?.state === "running" ? ", and appear here by themselves" : ""}.
    </Empty>
  );
}
