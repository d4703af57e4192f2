// The window of a virtual list: how far it is scrolled, how tall it is, and keeping the scroll bar where it belongs. Knows no rows' content.

import { type MutableRef, useLayoutEffect, useRef, useState } from "preact/hooks";
import { barOf, type Extent, scrolledHeight, topAfter } from "./scroll.ts";

export interface RowWindow {
  /** The element that scrolls. */
  readonly box: MutableRef<HTMLDivElement | null>;
  readonly extent: Extent;
  /** Pixels of the list above the window. */
  readonly top: number;
  /** Width of the scroll bar, where it takes room. */
  readonly gutter: number;
  readonly onScroll: () => void;
  /** Moves the list to a distance from its top. */
  readonly show: (top: number) => void;
}

/** After so long without a move the bar is put where the list is. */
const SETTLE_MS = 150;

export function useRowWindow(content: number): RowWindow {
  const box = useRef<HTMLDivElement | null>(null);
  const bar = useRef(0);
  const settle = useRef<ReturnType<typeof setTimeout> | undefined>(undefined);
  const [{ view, gutter }, setSize] = useState({ view: 600, gutter: 0 });
  const [top, setTop] = useState(0);
  const extent = { content, view };

  const moveBar = (to: number) => {
    bar.current = Math.round(barOf(to, extent));
    if (box.current) box.current.scrollTop = bar.current;
  };
  const show = (to: number) => {
    const within = Math.min(Math.max(to, 0), Math.max(content - view, 0));
    setTop(within);
    moveBar(within);
  };
  const onScroll = () => {
    const after = box.current?.scrollTop ?? 0;
    // The bar's own move by moveBar.
    if (Math.abs(after - bar.current) < 1) return;
    const next = topAfter({ top, before: bar.current, after }, extent);
    bar.current = after;
    setTop(next);
    clearTimeout(settle.current);
    if (scrolledHeight(extent) < content) settle.current = setTimeout(() => moveBar(next), SETTLE_MS);
  };

  useLayoutEffect(() => {
    const element = box.current as HTMLDivElement;
    const measure = () => setSize({ view: element.clientHeight, gutter: element.offsetWidth - element.clientWidth });
    const observed = new ResizeObserver(measure);
    observed.observe(element);
    measure();
    return () => {
      observed.disconnect();
      clearTimeout(settle.current);
    };
  }, []);
  // Fewer rows than before, or a taller window.
  useLayoutEffect(() => {
    if (top > 0 && top > content - view) show(top);
  }, [content, view]);
  return { box, extent, top, gutter, onScroll, show };
}
