// Where a scroll bar stands in a list taller than a browser's elements may be. A small move of the bar moves the list by the same
// distance, so that wheel, keys and fingers feel as in any list; a large one (the bar dragged) moves it in proportion. Afterwards the bar is
// put where it belongs. Pure numbers, in CSS pixels.

/** Browsers cut elements at about 17 million pixels (Firefox) or 33 (Chromium, Safari). */
export const MAX_HEIGHT = 8_000_000;

/** A list and the window it is seen through. */
export interface Extent {
  /** Height of all rows. */
  readonly content: number;
  /** Height of the window. */
  readonly view: number;
}

/** Height of the element that scrolls. */
export function scrolledHeight({ content }: Extent): number {
  return Math.min(content, MAX_HEIGHT);
}

/** Where the bar belongs when the list's `top` is at the window's top. */
export function barOf(top: number, extent: Extent): number {
  const range = extent.content - extent.view;
  return range <= 0 ? 0 : (top / range) * (scrolledHeight(extent) - extent.view);
}

/** The new `top` when the bar went from `before` to `after`. */
export function topAfter({ top, before, after }: { top: number; before: number; after: number }, extent: Extent): number {
  const move = after - before;
  const barRange = scrolledHeight(extent) - extent.view;
  const range = extent.content - extent.view;
  if (barRange <= 0) return 0;
  const next = Math.abs(move) <= 2 * extent.view ? top + move : (after / barRange) * range;
  return Math.min(Math.max(next, 0), range);
}

/** First row and the one after the last that a window shows, with `margin` rows beyond either edge. */
export function rowsIn(top: number, rowHeight: number, count: number, view: number, margin: number): [number, number] {
  const first = Math.max(Math.floor(top / rowHeight) - margin, 0);
  return [first, Math.min(Math.ceil((top + view) / rowHeight) + margin, count)];
}
