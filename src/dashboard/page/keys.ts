// Single-key shortcuts and moving through a list with the arrows. Nothing happens while somebody types, or with a modifier held.

import { useEffect, useRef } from "preact/hooks";

/** What each key does while the calling component is there. */
export type Keys = Readonly<Record<string, () => void>>;

export function useKeys(keys: Keys): void {
  const current = useRef(keys);
  current.current = keys;
  useEffect(() => {
    const onKey = (event: KeyboardEvent) => {
      if (event.defaultPrevented || event.ctrlKey || event.metaKey || event.altKey || isTyping(event.target)) return;
      const work = Object.hasOwn(current.current, event.key) ? current.current[event.key] : undefined;
      if (work === undefined || document.querySelector("dialog[open]")) return;
      event.preventDefault();
      work();
    };
    addEventListener("keydown", onKey);
    return () => removeEventListener("keydown", onKey);
  }, []);
}

function isTyping(target: EventTarget | null): boolean {
  return target instanceof HTMLElement && target.matches("input:not([type=checkbox]), select, textarea");
}

/** Up, down, Home and End move the focus between the elements of a list that match `selector`. */
export function moveFocus(event: KeyboardEvent, selector: string): void {
  const list = event.currentTarget as HTMLElement;
  const items = [...list.querySelectorAll<HTMLElement>(selector)];
  const at = items.indexOf(document.activeElement as HTMLElement);
  const to = { ArrowDown: at + 1, ArrowUp: at - 1, Home: 0, End: items.length - 1 }[event.key];
  if (to === undefined || at < 0) return;
  event.preventDefault();
  items[Math.min(Math.max(to, 0), items.length - 1)].focus();
}
