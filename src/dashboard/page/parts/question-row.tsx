// One question as a row of the list, and the titles of its columns, which sort.

import type { QuestionRow, Sort } from "../../api-questions.ts";
import { hrefTo } from "../address.ts";
import { percent, short } from "../numbers.ts";
import { verdictText } from "../words.ts";
import { MathText, QuestionText } from "./math.tsx";
import { VoteBar } from "./vote-bar.tsx";

interface Column {
  readonly key: string;
  readonly title: string;
  readonly sort?: Sort;
  readonly number?: boolean;
  readonly tip?: string;
}

export const COLUMNS: readonly Column[] = [
  { key: "number", title: "#", sort: "order", number: true, tip: "in the order posed" },
  { key: "question", title: "Question", sort: "length", tip: "by length" },
  { key: "votes", title: "Votes", sort: "answers", tip: "by the number of different answers" },
  { key: "share", title: "p̂", sort: "share", number: true, tip: "vote share of the majority answer" },
  { key: "reward", title: "Reward", sort: "reward", number: true, tip: "the Challenger’s reward" },
  { key: "label", title: "Label" },
  { key: "truth", title: "Truth" },
  { key: "verdict", title: "Verdict" },
  { key: "cluster", title: "Cluster", sort: "cluster", number: true },
  { key: "trained", title: "Steps", sort: "trained", number: true, tip: "steps that trained on it, as far as they are archived" },
];

export interface Sorted {
  readonly by: string;
  readonly descending: boolean;
}

export function QuestionHead({ sorted, sort }: { readonly sorted: Sorted; readonly sort: (by: Sort) => void }) {
  return (
    // biome-ignore lint/a11y/useSemanticElements: part of a grid
    // biome-ignore lint/a11y/useFocusableInteractive: its buttons have the focus
    <div role="row" class="grid-row question-row" aria-rowindex={1}>
      {COLUMNS.map(({ key, title, sort: by, number, tip }) => (
        // biome-ignore lint/a11y/useSemanticElements: part of a grid
        // biome-ignore lint/a11y/useFocusableInteractive: its button has the focus
        <span
          key={key}
          role="columnheader"
          class={`cell cell-${key}${number ? " number" : ""}`}
          aria-sort={by !== undefined && by === sorted.by ? (sorted.descending ? "descending" : "ascending") : undefined}
        >
          {by === undefined ? (
            title
          ) : (
            <button type="button" class="sort" title={`Sort ${tip ?? ""}`} onClick={() => sort(by)}>
              {title}
              <span class="sort-mark" aria-hidden="true">
                {by !== sorted.by ? "" : sorted.descending ? "▼" : "▲"}
              </span>
            </button>
          )}
        </span>
      ))}
    </div>
  );
}

interface CellsProps {
  /** Undefined: being read. */
  readonly row: QuestionRow | undefined;
  readonly number: number;
  readonly current: boolean;
  readonly query: URLSearchParams;
}

export function QuestionCells({ row, number, current, query }: CellsProps) {
  const cell = (key: string, content: preact.ComponentChildren, extra = "") => (
    // biome-ignore lint/a11y/useSemanticElements: part of a grid
    // biome-ignore lint/a11y/useFocusableInteractive: the row's link has the focus
    <span key={key} role="gridcell" class={`cell cell-${key} ${extra}`}>
      {content}
    </span>
  );
  if (row === undefined)
    return (
      <span class="question-row">
        {cell("number", number.toLocaleString("en"), "number")}
        {/* A link without an address: it holds the focus until the row is there, and then becomes the row's link. */}
        {cell(
          "question",
          // biome-ignore lint/a11y/useValidAnchor: see above
          <a class="muted" tabIndex={current ? 0 : -1}>
            reading …
          </a>,
        )}
      </span>
    );
  const address = hrefTo(["run", row.run, "questions", row.id], Object.fromEntries(query));
  return (
    <span class="question-row">
      {cell("number", number.toLocaleString("en"), "number")}
      {cell(
        "question",
        <a href={address} tabIndex={current ? 0 : -1} title={row.question}>
          <QuestionText text={row.question} />
        </a>,
      )}
      {cell("votes", <VoteBar votes={row.votes} total={row.answers} />)}
      {cell("share", percent(row.share, 0), "number")}
      {cell("reward", row.reward ? <Reward reward={row.reward} /> : "–", "number")}
      {cell("label", row.label === undefined ? "–" : <MathText text={row.label} inline />)}
      {cell("truth", <Truth row={row} />)}
      {cell("verdict", row.anchor ? "human" : verdictText(row.verdict), row.verdict === "kept" ? "" : "muted")}
      {cell("cluster", row.cluster ?? "–", "number")}
      {cell("trained", row.trained || "–", "number")}
    </span>
  );
}

function Reward({
  reward: { total, uncertainty, repetition, novelty },
}: {
  readonly reward: NonNullable<QuestionRow["reward"]>;
}) {
  const tip = `uncertainty ${short(uncertainty)} − repetition ${short(repetition)} − novelty ${short(novelty)}`;
  return <span title={tip}>{total.toFixed(2).replace("-", "−")}</span>;
}

/** Right and wrong by a sign and a word for those who do not see it. */
function Truth({ row: { truth, labelRight } }: { readonly row: QuestionRow }) {
  if (labelRight === undefined) return <>–</>;
  return (
    <span class={labelRight ? "right" : "wrong"}>
      <span aria-hidden="true">{labelRight ? "✓" : "✗"}</span>
      <span class="unseen">{labelRight ? "right" : "wrong"}</span>{" "}
      {!labelRight && truth !== undefined && <MathText text={truth} inline />}
    </span>
  );
}
