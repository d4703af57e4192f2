// One run: its name and state, the tabs, and the view that the route names.

import { useEffect } from "preact/hooks";
import { hrefTo } from "../address.ts";
import { useKeys } from "../keys.ts";
import { formatDuration, percent } from "../numbers.ts";
import { StateMark } from "../parts/state-mark.tsx";
import { Failure } from "../parts/states.tsx";
import { go, route } from "../route.ts";
import { type RunData, useRun } from "../run-data.ts";
import { DiversityView } from "./diversity.tsx";
import { HealthView } from "./health.tsx";
import { MatrixView } from "./matrix.tsx";
import { OverviewView } from "./overview.tsx";
import { QuestionView } from "./question.tsx";
import { QuestionsView } from "./questions.tsx";

const TABS = [
  { path: undefined, title: "Overview" },
  { path: "matrix", title: "Matrix" },
  { path: "questions", title: "Questions" },
  { path: "diversity", title: "Diversity" },
  { path: "health", title: "Health" },
] as const;

function pathOf(name: string, tab: string | undefined): string[] {
  return tab === undefined ? ["run", name] : ["run", name, tab];
}

export function RunPages({ name }: { readonly name: string }) {
  const run = useRun(name);
  const [, , tab, id] = route.value.path;
  const title = TABS.find(({ path }) => path === tab)?.title;
  useEffect(() => {
    document.title = `${name}${tab ? `, ${tab}` : ""} · rzero`;
  }, [name, tab]);
  useKeys(Object.fromEntries(TABS.map(({ path }, index) => [String(index + 1), () => go(pathOf(name, path))])));
  if (run.detail.error && !run.detail.value) return <Failure error={run.detail.error} retry={run.detail.reload} />;
  return (
    <section>
      <div class="heading">
        <h1>{name}</h1>
        {run.row && <StateMark state={run.row.state} />}
        <RunProgress run={run} />
      </div>
      {run.row?.problem && <p class="state state-error">{run.row.problem}</p>}
      <nav class="tabs" aria-label="Views of the run">
        {TABS.map(({ path, title: text }) => (
          <a key={text} href={hrefTo(pathOf(name, path))} aria-current={path === tab ? "page" : undefined}>
            {text}
          </a>
        ))}
      </nav>
      {title === undefined ? <p class="state">This run has no view of that name.</p> : <Tab run={run} tab={tab} id={id} />}
    </section>
  );
}

function Tab({ run, tab, id }: { readonly run: RunData; readonly tab: string | undefined; readonly id: string | undefined }) {
  if (tab === "matrix") return <MatrixView run={run} />;
  if (tab === "questions") return id === undefined ? <QuestionsView run={run} /> : <QuestionView key={id} run={run} id={id} />;
  if (tab === "diversity") return <DiversityView run={run} />;
  if (tab === "health") return <HealthView run={run} />;
  return <OverviewView run={run} />;
}

function RunProgress({ run: { row } }: { readonly run: RunData }) {
  if (!row || row.state === "done" || row.state === "damaged") {
    return row && row.seconds > 0 ? <span class="muted">{formatDuration(row.seconds)} of work</span> : null;
  }
  return (
    <span class="progress-cell">
      <progress value={row.progress} max={1} aria-label="Progress of the run">
        {percent(row.progress, 0)}
      </progress>
      <span class="figure">{percent(row.progress, 0)}</span>
      <span class="muted">
        {formatDuration(row.seconds)} so far
        {row.state === "running" && row.secondsLeft !== undefined && `, about ${formatDuration(row.secondsLeft)} left`}
      </span>
    </span>
  );
}
