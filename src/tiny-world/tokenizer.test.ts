// The tokenizer of the tiny world as the JavaScript library reads it: round trips, ids, no unknown pieces; and the
// committed files of assets/tiny-base/ against their generator.

import { readFileSync } from "node:fs";
import { join } from "node:path";
import { Template } from "@huggingface/jinja";
import { Tokenizer } from "@huggingface/tokenizers";
import { describe, expect, it } from "vitest";
import { CHALLENGER_PROMPT, CHAT_TEMPLATE, renderPrompt } from "./chat.ts";
import { corpusDocument } from "./corpus.ts";
import { tinyBaseFiles } from "./files.ts";
import { MIDTRAINING_MIX, PRETRAINING_MIX } from "./mixes.ts";
import { END_ID, tokenizerConfig, tokenizerJson, VOCABULARY } from "./tokenizer.ts";

const tokenizer = new Tokenizer(tokenizerJson(), tokenizerConfig());
const encode = (text: string) => tokenizer.encode(text, { add_special_tokens: false }).ids;
const decode = (ids: number[]) => tokenizer.decode(ids, { skip_special_tokens: false });
const UNKNOWN = VOCABULARY.indexOf("<unk>");

describe("tokenizer", () => {
  it("is small and has no token twice", () => {
    expect(new Set(VOCABULARY).size).toBe(VOCABULARY.length);
    expect(VOCABULARY.length).toBeLessThanOrEqual(128);
  });

  it("reads every corpus text without unknown pieces and gives it back, prompt and completion cut apart alike", () => {
    for (let index = 0; index < 4000; index++) {
      const { prompt, completion } = corpusDocument(3, index, index % 2 === 0 ? PRETRAINING_MIX : MIDTRAINING_MIX);
      const ids = encode(prompt + completion);
      expect(ids).not.toContain(UNKNOWN);
      expect(decode(ids)).toBe(prompt + completion);
      expect([...encode(prompt), ...encode(completion)]).toEqual(ids);
      expect(ids.length).toBeLessThanOrEqual(144);
      expect(ids.at(-1)).toBe(END_ID);
    }
  });

  it("takes the longest piece, digits one by one", () => {
    const pieces = encode("Compute 47*5+ac.").map((id) => VOCABULARY[id]);
    expect(pieces).toEqual(["Compute ", "4", "7", "*", "5", "+", "a", "c", "."]);
    expect(encode(renderPrompt(CHALLENGER_PROMPT)).map((id) => VOCABULARY[id])).toEqual([
      ...["<|im_start|>", "user\n", CHALLENGER_PROMPT, "<|im_end|>", "\n", "<|im_start|>", "assistant\n"],
    ]);
  });

  it("maps unknown characters to <unk>, one by one", () => {
    expect(encode("5~é7").map((id) => VOCABULARY[id])).toEqual(["5", "<unk>", "<unk>", "7"]);
  });

  it("renders the chat as its template does", () => {
    const rendered = new Template(CHAT_TEMPLATE).render({
      messages: [{ role: "user", content: "What is 7+8?" }],
      add_generation_prompt: true,
    });
    expect(rendered).toBe(renderPrompt("What is 7+8?"));
  });
});

describe("assets/tiny-base", () => {
  const assets = join(import.meta.dirname, "..", "..", "assets", "tiny-base");
  for (const [name, content] of Object.entries(tinyBaseFiles())) {
    it(`${name} is what the generator makes`, () => {
      expect(readFileSync(join(assets, name), "utf8")).toBe(content);
    });
  }
});
