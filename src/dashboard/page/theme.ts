// Dark or light: the system's choice until the person makes one, which this browser remembers. Knows no colour; styles/base.css does.

import { effect, signal } from "@preact/signals";

export type Theme = "light" | "dark";

const KEY = "rzero-theme";
const system = matchMedia("(prefers-color-scheme: dark)");

/** The theme in force. Views that draw on a canvas read it to draw again. */
export const theme = signal<Theme>(stored() ?? systemTheme());

system.addEventListener("change", () => {
  if (stored() === undefined) theme.value = systemTheme();
});
effect(() => {
  document.documentElement.dataset.theme = theme.value;
});

/** Changes to the other theme and remembers it. */
export function toggleTheme(): void {
  theme.value = theme.peek() === "dark" ? "light" : "dark";
  try {
    localStorage.setItem(KEY, theme.peek());
  } catch {
    // A browser that keeps nothing still has the theme until it is closed.
  }
}

function systemTheme(): Theme {
  return system.matches ? "dark" : "light";
}

function stored(): Theme | undefined {
  try {
    const value = localStorage.getItem(KEY);
    return value === "dark" || value === "light" ? value : undefined;
  } catch {
    return undefined;
  }
}

/** A colour of the theme in force, for a canvas: `cssColour("--muted")`. */
export function cssColour(name: string): string {
  return getComputedStyle(document.documentElement).getPropertyValue(name).trim();
}
