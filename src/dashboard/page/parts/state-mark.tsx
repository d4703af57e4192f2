// A state as a word with a shape, so that no state is told by colour alone.

const SHAPES: Readonly<Record<string, string>> = {
  running: "▶",
  done: "✓",
  stopped: "■",
  new: "○",
  waiting: "○",
  damaged: "✕",
};

export function StateMark({ state }: { readonly state: string }) {
  return (
    <span class={`mark mark-${state}`}>
      <span aria-hidden="true">{SHAPES[state] ?? "·"}</span> {state}
    </span>
  );
}
