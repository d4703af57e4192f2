// Tests of the text of a completion while its tokens arrive, with the golden tokenizer.

import { fileURLToPath } from "node:url";
import { describe, expect, it } from "vitest";
import { loadTokenizer } from "../engine/local/tokenizer.ts";
import { rngFrom } from "../util/rng.ts";
import { CompletionText } from "./completion-text.ts";
import { TokenTexts } from "./token-texts.ts";

const tokenizer = loadTokenizer(fileURLToPath(new URL("../../test/golden/tiny-qwen3/", import.meta.url)));
const texts = new TokenTexts(tokenizer);

/** The parts of a completion whose tokens arrive one by one. */
function partsOf(tokens: readonly number[], stops: { tokens?: number[]; strings?: string[] }, stopReason: "stop" | "length") {
  const text = new CompletionText(texts, { tokens: new Set(stops.tokens), strings: stops.strings ?? [] });
  const parts = tokens.map((token, i) => {
    text.push([token], i === tokens.length - 1 ? stopReason : undefined);
    return text.take();
  });
  return { parts, stoppedBy: text.stoppedBy };
}

describe("CompletionText", () => {
  it("hands out whole characters alone", () => {
    const whole = "naïve 数学 🙂 ∑ end";
    const tokens = [...tokenizer.encode(whole)];
    const { parts } = partsOf(tokens, {}, "length");
    expect(parts.join("")).toBe(whole);
    expect(parts.some((part) => part.includes("\uFFFD"))).toBe(false);
    expect(parts.filter((part) => part === "").length).toBeGreaterThan(3);
  });

  it("puts together what decode gives, for tokens that are no text, in portions of any size", () => {
    const rng = rngFrom(1, "garbage");
    for (let round = 0; round < 200; round++) {
      const tokens = Array.from({ length: 1 + rng.int(40) }, () => rng.int(512));
      const text = new CompletionText(texts, { tokens: new Set(), strings: ["never there"] });
      let got = "";
      for (let at = 0; at < tokens.length; ) {
        const portion = 1 + rng.int(5);
        text.push(tokens.slice(at, at + portion), at + portion >= tokens.length ? "length" : undefined);
        got += text.take();
        at += portion;
      }
      expect(got).toBe(tokenizer.decode(tokens));
    }
  });

  it("holds back what may begin a stop string, and ends before it", () => {
    const tokens = [..."ab##c##!"].flatMap((character) => [...tokenizer.encode(character)]);
    const { parts, stoppedBy } = partsOf(tokens, { strings: ["##!", "zzz"] }, "stop");
    expect(parts).toEqual(["a", "b", "", "", "##c", "", "", ""]);
    expect(stoppedBy).toBe("##!");
    expect(partsOf(tokens.slice(0, 4), { strings: ["##!"] }, "length").parts.join("")).toBe("ab##");
  });

  it("leaves a stop token out and names it", () => {
    const [a, b] = [..."ab"].map((character) => tokenizer.encode(character)[0]);
    expect(partsOf([a, b], { tokens: [b], strings: ["b"] }, "stop")).toEqual({ parts: ["a", ""], stoppedBy: b });
  });
});
