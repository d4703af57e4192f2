// The keyboard help: a dialog that the browser itself makes modal and closes with Escape.

import type { Signal } from "@preact/signals";
import { useEffect, useRef } from "preact/hooks";

const KEYS: readonly (readonly [string, string])[] = [
  ["?", "this help"],
  ["t", "dark or light"],
  ["r", "all runs"],
  ["1 … 5", "in a run: overview, matrix, questions, diversity, health"],
  ["/", "search the questions"],
  ["↑ ↓", "next and previous row of a table"],
  ["PgUp PgDn Home End", "further through the questions"],
  ["Enter", "open the row"],
  ["j k", "next and previous answer of a question"],
  ["Esc", "close this; from a question, back to the list"],
];

export function Help({ open }: { readonly open: Signal<boolean> }) {
  const dialog = useRef<HTMLDialogElement>(null);
  useEffect(() => {
    if (open.value) dialog.current?.showModal();
  }, [open.value]);
  return (
    <dialog
      ref={dialog}
      aria-labelledby="help-title"
      onClose={() => {
        open.value = false;
      }}
    >
      <h2 id="help-title">Keyboard</h2>
      <dl class="keys">
        {KEYS.map(([key, what]) => (
          <div key={key}>
            <dt>
              <kbd>{key}</kbd>
            </dt>
            <dd>{what}</dd>
          </div>
        ))}
      </dl>
      <form method="dialog">
        <button type="submit">Close</button>
      </form>
    </dialog>
  );
}
