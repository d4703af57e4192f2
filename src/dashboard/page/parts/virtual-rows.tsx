// A grid of any number of rows of equal height, of which only those in view exist. The window stays in place while the bar moves under
// it, so that a row is replaced and never missing. One row is current: arrows, Page, Home and End move it, Enter opens it. Knows no data.

import type { ComponentChildren } from "preact";
import { useEffect } from "preact/hooks";
import { useCurrentRow } from "./current-row.ts";
import { useRowWindow } from "./row-window.ts";
import { rowsIn, scrolledHeight } from "./scroll.ts";

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
  readonly name: string;
}

const MARGIN = 4;

export function VirtualRows({ label, count, rowHeight, head, columns, row, onRange, name }: VirtualRowsProps) {
  const window = useRowWindow(count * rowHeight);
  const { box, extent, top, gutter, onScroll } = window;
  const { current, setCurrent, onKeyDown } = useCurrentRow(window, count, rowHeight, name);
  const [first, end] = rowsIn(top, rowHeight, count, extent.view, MARGIN);
  useEffect(() => onRange(first, end), [first, end]);
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
          <div class="grid-window" role="presentation" style={{ height: `${extent.view}px` }}>
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
