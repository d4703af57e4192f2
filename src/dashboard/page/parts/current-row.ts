// Which row of a virtual list is current: the keys that move it, the focus that follows it, and where it was when the list was left.

import { useEffect, useLayoutEffect, useRef, useState } from "preact/hooks";
import type { RowWindow } from "./row-window.ts";

/** Where a list was left, so that going back finds it again. */
const left = new Map<string, { readonly topRow: number; readonly current: number }>();

export interface CurrentRow {
  readonly current: number;
  readonly setCurrent: (index: number) => void;
  readonly onKeyDown: (event: KeyboardEvent) => void;
}

/** A list of another name begins at its top, one of the same name where it was left. */
export function useCurrentRow(window: RowWindow, count: number, rowHeight: number, name: string): CurrentRow {
  const { box, extent, top, show } = window;
  const [current, setCurrent] = useState(0);
  /** The row that gets the focus as soon as it is drawn. */
  const wanted = useRef<number | undefined>(undefined);
  const place = useRef({ topRow: 0, current });
  place.current = { topRow: top / rowHeight, current };

  const goTo = (index: number) => {
    const to = Math.min(Math.max(index, 0), count - 1);
    wanted.current = to;
    setCurrent(to);
    if (to * rowHeight < top) show(to * rowHeight);
    else if ((to + 1) * rowHeight > top + extent.view) show((to + 1) * rowHeight - extent.view);
  };
  const onKeyDown = (event: KeyboardEvent) => {
    const to = destination(event, current, count, Math.max(Math.floor(extent.view / rowHeight) - 1, 1));
    if (to === undefined) return;
    event.preventDefault();
    goTo(to);
  };

  useLayoutEffect(() => {
    const begin = left.get(name) ?? { topRow: 0, current: 0 };
    setCurrent(begin.current);
    show(begin.topRow * rowHeight);
    left.clear();
    return () => left.set(name, place.current);
  }, [name, rowHeight]);
  useEffect(() => {
    if (wanted.current === undefined) return;
    const link = box.current?.querySelector<HTMLElement>(`[data-index="${wanted.current}"] a`);
    if (!link) return;
    wanted.current = undefined;
    link.focus({ preventScroll: true });
  });
  return { current, setCurrent, onKeyDown };
}

/** The row that a key leads to; undefined for other keys. */
function destination(event: KeyboardEvent, current: number, count: number, page: number): number | undefined {
  if (event.ctrlKey || event.metaKey || event.altKey) return undefined;
  const moves = new Map([
    ["ArrowDown", current + 1],
    ["ArrowUp", current - 1],
    ["PageDown", current + page],
    ["PageUp", current - page],
    ["Home", 0],
    ["End", count - 1],
  ]);
  return moves.get(event.key);
}
