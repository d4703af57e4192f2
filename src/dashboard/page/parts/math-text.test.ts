import { describe, expect, it } from "vitest";
import { splitMath } from "./math-text.ts";

const shape = (text: string) =>
  splitMath(text).map(({ kind, text: inside, display }) => [kind === "math" ? (display ? "D" : "M") : "", inside]);

describe("splitMath", () => {
  it("finds every form of mathematics", () => {
    expect(shape("If $x^2=4$, \\(y\\) and \\[z\\] or $$w$$.")).toEqual([
      ["", "If "],
      ["M", "x^2=4"],
      ["", ", "],
      ["M", "y"],
      ["", " and "],
      ["D", "z"],
      ["", " or "],
      ["D", "w"],
      ["", "."],
    ]);
  });

  it("keeps money and what never closes as prose", () => {
    expect(shape("It costs $5 and $10.")).toEqual([["", "It costs $5 and $10."]]);
    expect(shape("A $ alone, \\( open, \\boxed{1")).toEqual([["", "A $ alone, \\( open, \\boxed{1"]]);
    expect(shape("\\$x$ and $$ $$")).toEqual([["", "\\$x$ and $$ $$"]]);
  });

  it("takes a box with nested and escaped braces", () => {
    expect(shape("so \\boxed{\\frac{1}{2}\\}}.")).toEqual([
      ["", "so "],
      ["M", "\\boxed{\\frac{1}{2}\\}}"],
      ["", "."],
    ]);
  });

  it("leaves markup to be text", () => {
    expect(shape("<img src=x onerror=alert(1)>")).toEqual([["", "<img src=x onerror=alert(1)>"]]);
  });

  it("stays linear on hostile text", () => {
    const text = "$ ".repeat(50_000);
    expect(
      splitMath(text)
        .map(({ text: piece }) => piece)
        .join(""),
    ).toBe(text);
  });
});
