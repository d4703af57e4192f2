// The conditions on the questions, as fields that write themselves into the address. Typing waits for a pause.

import { useEffect, useRef } from "preact/hooks";
import { useNarrow } from "../narrow.ts";
import { changeQuery } from "../route.ts";
import { POOL_VERDICTS, ROLLOUT_VERDICTS, verdictText } from "../words.ts";

const PAUSE_MS = 200;
type Choice = readonly [value: string, text: string];

const FOLDED = ["iteration", "source", "verdict", "label", "trained", "min", "max"];

export interface QuestionFilterProps {
  readonly query: URLSearchParams;
  readonly iterations: number;
}

export function QuestionFilter({ query, iterations }: QuestionFilterProps) {
  const set = FOLDED.filter((key) => query.get(key)).length;
  return (
    // biome-ignore lint/a11y/useSemanticElements: a form with this role; older browsers do not know <search>
    <form class="filters" role="search" aria-label="Questions" onSubmit={(event) => event.preventDefault()}>
      <Typed name="search" label="Search" type="search" value={query.get("search") ?? ""} placeholder="words of the question" />
      {useNarrow() ? (
        <details>
          <summary>Conditions{set > 0 && ` (${set} set)`}</summary>
          <Conditions query={query} iterations={iterations} />
        </details>
      ) : (
        <Conditions query={query} iterations={iterations} />
      )}
      {query.get("cluster") !== null && (
        <button type="button" onClick={() => changeQuery({ cluster: undefined })}>
          Cluster {query.get("cluster")} ✕<span class="unseen"> show all clusters</span>
        </button>
      )}
    </form>
  );
}

const ALL: Choice = ["", "all"];

function Conditions({ query, iterations }: QuestionFilterProps) {
  const verdicts = query.get("source") === "challenger" ? ROLLOUT_VERDICTS : POOL_VERDICTS;
  const numbers = Array.from({ length: iterations }, (_, at): Choice => [String(at + 1), String(at + 1)]);
  return (
    <div class="more">
      <Choose name="iteration" label="Iteration" query={query} choices={[ALL, ...numbers]} />
      <Choose
        name="source"
        label="Posed in"
        query={query}
        choices={[ALL, ["pool", "the pool"], ["challenger", "Challenger steps"]]}
      />
      <Choose
        name="verdict"
        label="Verdict"
        query={query}
        choices={[ALL, ...verdicts.map((verdict): Choice => [verdict, verdictText(verdict)])]}
      />
      <Choose
        name="label"
        label="Label"
        query={query}
        choices={[ALL, ["right", "right"], ["wrong", "wrong"], ["unknown", "truth unknown"]]}
      />
      <Choose name="trained" label="Trained on" query={query} choices={[ALL, ["yes", "yes"], ["no", "no"]]} />
      <fieldset class="range">
        <legend>Vote share p̂ (%)</legend>
        <Typed name="min" label="from" type="number" value={query.get("min") ?? ""} placeholder="0" />
        <Typed name="max" label="to" type="number" value={query.get("max") ?? ""} placeholder="100" />
      </fieldset>
    </div>
  );
}

interface TypedProps {
  readonly name: string;
  readonly label: string;
  readonly type: "search" | "number";
  readonly value: string;
  readonly placeholder: string;
}

function Typed({ name, label, type, value, placeholder }: TypedProps) {
  const timer = useRef<ReturnType<typeof setTimeout> | undefined>(undefined);
  useEffect(() => () => clearTimeout(timer.current), []);
  const onInput = (event: { readonly currentTarget: HTMLInputElement }) => {
    const text = event.currentTarget.value;
    clearTimeout(timer.current);
    timer.current = setTimeout(() => changeQuery({ [name]: text.trim() }), PAUSE_MS);
  };
  return (
    <label>
      {label}{" "}
      <input
        id={name}
        type={type}
        defaultValue={value}
        placeholder={placeholder}
        min={type === "number" ? 0 : undefined}
        max={type === "number" ? 100 : undefined}
        maxLength={200}
        onInput={onInput}
      />
    </label>
  );
}

interface ChooseProps {
  readonly name: string;
  readonly label: string;
  readonly query: URLSearchParams;
  readonly choices: readonly Choice[];
}

function Choose({ name, label, query, choices }: ChooseProps) {
  return (
    <label>
      {label}{" "}
      <select id={name} value={query.get(name) ?? ""} onChange={(event) => changeQuery({ [name]: event.currentTarget.value })}>
        {choices.map(([value, text]) => (
          <option key={value} value={value}>
            {text}
          </option>
        ))}
      </select>
    </label>
  );
}
