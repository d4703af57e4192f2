// A grid of any number of rows of equal height, of which only those in view exist. The window stays in place while the bar moves under
// it, so that a row is replaced and never missing. One row is current: arrows, Page, Home and End move it, Enter opens it. Knows no data.

import type { ComponentChildren } from "preact";
import { useEffect, useLayoutEffect, useRef, useState } from "preact/hooks";
import { barOf, rowsIn, scrolledHeight, topAfter } from "./scroll.ts";

export interface VirtualRowsProps {
  readonly label: string;
  readonly count: number;
  /** CSS pixels. */
  readonly rowHeight: number;
  /** The row of column titles. */
  readonly head: ComponentChildren;
  readonly columns: number;
  /** Cells of a row; `current`: its link takes part in the order of Tab. */
  readonly row: (index: number, current: boolean) => ComponentChildren;
  /** Told when other rows come into view. */
  readonly onRange: (first: number, end: number) => void;
  /** Names the list: another one begins at its top, the same one where it was left. */
  readonly reset: string;
}

/** Where a list was left, so that going back finds it again. */
const left = new Map<string, { readonly topRow: number; readonly current: number }>();

const MARGIN = 4;
const SETTLE_MS = 150;

export function VirtualRows({ label, count, rowHeight, head, columns, row, onRange, reset }: VirtualRowsProps) {
  const box = useRef<HTMLDivElement>(null);
  const bar = useRef(0);
  const settle = useRef<ReturnType<typeof setTimeout> | undefined>(undefined);
  const [view, setView] = useState(600);
  /** Width of the scroll bar, where it takes room. */
  const [gutter, setGutter] = useState(0);
  const [top, setTop] = useState(0);
  const [current, setCurrent] = useState(0);
  /** The row that gets the focus as soon as it is drawn. */
  const wanted = useRef<number | undefined>(undefined);
  const extent = { content: count * rowHeight, view };

  const moveBar = (to: number) => {
    bar.current = Math.round(barOf(to, extent));
    if (box.current) box.current.scrollTop = bar.current;
  };
  const show = (to: number) => {
    const within = Math.min(Math.max(to, 0), Math.max(extent.content - view, 0));
    setTop(within);
    moveBar(within);
  };
  const onScroll = () => {
    const after = box.current?.scrollTop ?? 0;
    if (Math.abs(after - bar.current) < 1) return;
    const next = topAfter({ top, before: bar.current, after }, extent);
    bar.current = after;
    setTop(next);
    clearTimeout(settle.current);
    if (scrolledHeight(extent) < extent.content) settle.current = setTimeout(() => moveBar(next), SETTLE_MS);
  };
  const goTo = (index: number) => {
    const to = Math.min(Math.max(index, 0), count - 1);
    wanted.current = to;
    setCurrent(to);
    if (to * rowHeight < top) show(to * rowHeight);
    else if ((to + 1) * rowHeight > top + view) show((to + 1) * rowHeight - view);
  };
  const onKeyDown = (event: KeyboardEvent) => {
    const page = Math.max(Math.floor(view / rowHeight) - 1, 1);
    const moves: Record<string, number> = {
      ArrowDown: current + 1,
      ArrowUp: current - 1,
      PageDown: current + page,
      PageUp: current - page,
      Home: 0,
      End: count - 1,
    };
    if (!(event.key in moves) || event.ctrlKey || event.metaKey || event.altKey) return;
    event.preventDefault();
    goTo(moves[event.key]);
  };

  useLayoutEffect(() => {
    const element = box.current as HTMLDivElement;
    const measure = () => {
      setView(element.clientHeight);
      setGutter(element.offsetWidth - element.clientWidth);
    };
    const observed = new ResizeObserver(measure);
    observed.observe(element);
    measure();
    return () => observed.disconnect();
  }, []);
  const place = useRef({ topRow: 0, current });
  place.current = { topRow: top / rowHeight, current };
  useLayoutEffect(() => {
    const begin = left.get(reset) ?? { topRow: 0, current: 0 };
    setCurrent(begin.current);
    show(begin.topRow * rowHeight);
    left.clear();
    return () => left.set(reset, place.current);
  }, [reset, rowHeight]);
  useLayoutEffect(() => {
    if (top > 0 && top > extent.content - view) show(top);
  }, [count, view]);
  const [first, end] = rowsIn(top, rowHeight, count, view, MARGIN);
  useEffect(() => onRange(first, end), [first, end]);
  useEffect(() => {
    if (wanted.current === undefined) return;
    const link = box.current?.querySelector<HTMLElement>(`[data-index="${wanted.current}"] a`);
    if (!link) return;
    wanted.current = undefined;
    link.focus({ preventScroll: true });
  });
  // The row that Tab reaches: the current one, or the first in view when that one is elsewhere.
  const reached = current >= first && current < end ? current : Math.min(first + MARGIN, end - 1);
  const shown = Array.from({ length: Math.max(end - first, 0) }, (_, offset) => first + offset);
  return (
    // biome-ignore lint/a11y/useSemanticElements: a table element cannot hold rows that are placed by a scroll bar of another height
    <div class="grid" role="grid" aria-label={label} aria-rowcount={count + 1} aria-colcount={columns} onKeyDown={onKeyDown}>
      {/* biome-ignore lint/a11y/useSemanticElements: part of the grid above */}
      <div role="rowgroup" class="grid-head" style={{ paddingRight: `${gutter}px` }}>
        {head}
      </div>
      {/* biome-ignore lint/a11y/useSemanticElements: part of the grid above */}
      <div role="rowgroup" class="grid-body" ref={box} onScroll={onScroll}>
        <div class="grid-height" role="presentation" style={{ height: `${scrolledHeight(extent)}px` }}>
          <div class="grid-window" role="presentation" style={{ height: `${view}px` }}>
            {shown.map((index) => (
              // biome-ignore lint/a11y/useSemanticElements: part of the grid above
              // biome-ignore lint/a11y/useFocusableInteractive: its link has the focus
              <div
                key={index}
                role="row"
                class="grid-row"
                aria-rowindex={index + 2}
                data-index={index}
                data-current={index === reached ? "" : undefined}
                style={{ height: `${rowHeight}px`, transform: `translateY(${Math.round(index * rowHeight - top)}px)` }}
                onFocusIn={() => setCurrent(index)}
              >
                {row(index, index === reached)}
              </div>
            ))}
          </div>
        </div>
      </div>
    </div>
  );
}
