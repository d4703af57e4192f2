// Tests of the tokenizer: the golden texts of transformers, round trips, chat templates, stop tokens, bad files.

import { mkdtempSync, readFileSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { DataError } from "../../util/errors.ts";
import { loadTokenizer } from "./tokenizer.ts";

const golden = (name: string) => new URL(`../../../test/golden/${name}/`, import.meta.url).pathname;
const expected = (name: string) => JSON.parse(readFileSync(join(golden(name), "expected.json"), "utf8"));

/** A directory with the files of tiny-qwen3's tokenizer, changed by `change`. */
function changedCopy(change: (tokenizer: Record<string, unknown>, config: Record<string, unknown>) => void): string {
  const dir = mkdtempSync(join(tmpdir(), "rzero-tokenizer-"));
  const [tokenizer, config] = ["tokenizer.json", "tokenizer_config.json"].map((name) =>
    JSON.parse(readFileSync(join(golden("tiny-llama3"), name), "utf8")),
  );
  change(tokenizer, config);
  writeFileSync(join(dir, "tokenizer.json"), JSON.stringify(tokenizer));
  writeFileSync(join(dir, "tokenizer_config.json"), JSON.stringify(config));
  return dir;
}

const withBos = {
  type: "TemplateProcessing",
  single: [{ SpecialToken: { id: "<|begin_of_text|>", type_id: 0 } }, { Sequence: { id: "A", type_id: 0 } }],
  pair: [],
  special_tokens: { "<|begin_of_text|>": { id: "<|begin_of_text|>", ids: [0], tokens: ["<|begin_of_text|>"] } },
};

describe("loadTokenizer", () => {
  for (const name of ["tiny-qwen3", "tiny-llama3"]) {
    it(`equals transformers on ${name}`, () => {
      const tokenizer = loadTokenizer(golden(name));
      const { texts, token_ids, decoded } = expected(name);
      texts.forEach((text: string, i: number) => {
        expect([...tokenizer.encode(text)]).toEqual(token_ids[i]);
        expect(tokenizer.decode(token_ids[i])).toBe(decoded[i]);
      });
    });
  }

  it("renders the golden chat prompt and reads its special tokens back", () => {
    const tokenizer = loadTokenizer(golden("tiny-qwen3"));
    const { chat } = expected("tiny-qwen3");
    const prompt = tokenizer.renderChat(chat.messages);
    expect(prompt).toBe(chat.prompt);
    const tokens = tokenizer.encode(prompt);
    expect([...tokens].filter((token) => token < 3)).toEqual([1, 2, 1, 2, 1]);
    expect(tokenizer.decode(tokens)).toBe(prompt);
  });

  it("round-trips any text in NFC", () => {
    const tokenizer = loadTokenizer(golden("tiny-qwen3"));
    fc.assert(
      fc.property(fc.string({ unit: "grapheme", maxLength: 40 }), (text) => {
        const normal = text.normalize("NFC");
        expect(tokenizer.decode(tokenizer.encode(normal))).toBe(normal);
      }),
      { numRuns: 100, seed: 1 },
    );
    expect(tokenizer.decode([])).toBe("");
    expect([...tokenizer.encode("")]).toEqual([]);
  });

  it("finds the stop tokens", () => {
    expect(loadTokenizer(golden("tiny-qwen3")).stopTokens).toEqual([0, 2]);
    expect(loadTokenizer(golden("tiny-llama3")).stopTokens).toEqual([1, 2]);
  });

  it("puts a BOS before a prompt once: from the template, or without one from the post-processor", () => {
    const bare = changedCopy((tokenizer) => {
      tokenizer.post_processor = withBos;
    });
    const lines = loadTokenizer(bare);
    const prompt = lines.renderChat([
      { role: "system", content: "Add." },
      { role: "user", content: "1+1" },
    ]);
    expect(prompt).toBe("<|begin_of_text|>system: Add.\nuser: 1+1");
    expect([...lines.encode(prompt)].filter((token) => token === 0)).toEqual([0]);
    const templated = changedCopy((tokenizer, config) => {
      tokenizer.post_processor = withBos;
      config.chat_template = [{ name: "default", template: "{{ bos_token }}{{ messages[0].content }}{{ date_string }}" }];
    });
    const chat = loadTokenizer(templated);
    const rendered = chat.renderChat([{ role: "user", content: "hi" }]);
    expect(rendered).toBe("<|begin_of_text|>hi26 Jul 2024");
    expect([...chat.encode(rendered)].filter((token) => token === 0)).toEqual([0]);
  });

  it("tells bad files in one line", () => {
    const empty = mkdtempSync(join(tmpdir(), "rzero-tokenizer-"));
    expect(() => loadTokenizer(empty)).toThrow(DataError);
    writeFileSync(join(empty, "tokenizer.json"), "{");
    expect(() => loadTokenizer(empty)).toThrow(/tokenizer\.json: expected JSON/);
    writeFileSync(join(empty, "tokenizer.json"), "{}");
    expect(() => loadTokenizer(empty)).toThrow(DataError);
    const template = changedCopy((_, config) => {
      config.chat_template = "{% for %}";
    });
    expect(() => loadTokenizer(template)).toThrow(/chat template/);
  });
});
