// A model's text with its mathematics typeset. The text is only ever a text node or KaTeX's source, never markup.

import { signal } from "@preact/signals";
import { useLayoutEffect, useMemo, useRef } from "preact/hooks";
import { splitMath } from "./math-text.ts";

type Typeset = typeof import("./typeset.ts").typeset;

/** KaTeX, once the first mathematics has asked for it; the source stands until then, and for good when it cannot be loaded. */
const loaded = signal<Typeset | undefined>(undefined);
let asked = false;

function ask(): void {
  if (asked) return;
  asked = true;
  import("./typeset.ts").then(
    ({ typeset }) => {
      loaded.value = typeset;
    },
    () => {
      asked = false;
    },
  );
}

/** Text of a model; `inline`: on one line, display mathematics too. */
export function MathText({ text, inline }: { readonly text: string; readonly inline?: boolean }) {
  const pieces = useMemo(() => splitMath(text), [text]);
  return (
    <>
      {pieces.map(({ kind, text: inside, display }, index) =>
        kind === "prose" ? inside : <Formula key={index} source={inside} display={display === true && !inline} />,
      )}
    </>
  );
}

function Formula({ source, display }: { readonly source: string; readonly display: boolean }) {
  const place = useRef<HTMLSpanElement>(null);
  const typeset = loaded.value;
  useLayoutEffect(() => {
    ask();
    place.current?.replaceChildren(typeset?.(source, display) ?? source);
  }, [typeset, source, display]);
  return <span ref={place} class="formula" />;
}

/** A question in a link or a line; one without any text says so. */
export function QuestionText({ text }: { readonly text: string }) {
  return text.trim() === "" ? <em>empty</em> : <MathText text={text} inline />;
}
