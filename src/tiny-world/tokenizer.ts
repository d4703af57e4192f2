// The vocabulary of the tiny world and its tokenizer.json: whole phrases, names, tags, single digits and letters.
// A regular expression cuts the text into the longest known pieces; each piece is one token (a BPE without merges,
// because the JavaScript library has no word-level model), anything else is <unk>. Decoding concatenates.

import { CHALLENGER_PROMPT, CHAT_TEMPLATE } from "./chat.ts";
import { COINS, DAYS, ITEMS, MONTHS, NAMES } from "./sequences.ts";
import { LETTERS } from "./strings.ts";

/** Tokens that are cut out of the text first and that decoding may leave out. */
const SPECIAL = ["<|endoftext|>", "<|im_start|>", "<|im_end|>", "<unk>"] as const;

const PIECES: readonly string[] = [
  ...["system\n", "user\n", "assistant\n", "\n"],
  ...["<think>", "</think>", "<question>", "</question>", "\\boxed{", "}"],
  ..."0123456789",
  ...[" ", "+", "-", "*", ",", ".", ":", "?", ", "],
  ...LETTERS,
  ...[CHALLENGER_PROMPT, "What is ", "Compute ", "Add ", " and ", "Take ", "Subtract ", " from ", "Multiply ", " by "],
  ...["Start at ", ": ", "From ", " go ", "Sum of ", "Total of ", "Add up ", "Digit sum of ", "Add the digits of "],
  ...[...NAMES, " has ", ...ITEMS, ", gets ", ", loses ", ", doubles", ". How many?"],
  ...["Which month is ", "Month of ", ...MONTHS, "Which day is ", "Day of ", ...DAYS],
  ...["Value of ", "Cents in ", ...Object.keys(COINS)],
  ...["Clock at ", "Hour of ", "Copy ", "Sort ", "Put ", " in order."],
];

/** Every token; its index is its id. */
export const VOCABULARY: readonly string[] = [...SPECIAL, ...PIECES];

/** Id of the token that ends a reply, and of the one that ends a text. */
export const END_ID = VOCABULARY.indexOf("<|im_end|>");
export const PAD_ID = VOCABULARY.indexOf("<|endoftext|>");

/** One alternative of the expression, with nothing left to interpret. */
function escapePattern(piece: string): string {
  return piece.replace(/[\\{}()[\]|?*+.^$]/g, "\\$&").replace(/\n/g, "\\n");
}

/** The content of tokenizer.json. */
export function tokenizerJson(): object {
  const longestFirst = [...PIECES].sort((a, b) => b.length - a.length || (a < b ? -1 : 1));
  const pattern = `${longestFirst.map(escapePattern).join("|")}|[\\s\\S]`;
  return {
    version: "1.0",
    truncation: null,
    padding: null,
    added_tokens: SPECIAL.map((content, id) => ({
      id,
      content,
      single_word: false,
      lstrip: false,
      rstrip: false,
      normalized: false,
      special: true,
    })),
    normalizer: null,
    pre_tokenizer: { type: "Split", pattern: { Regex: pattern }, behavior: "Isolated", invert: false },
    post_processor: null,
    decoder: { type: "Fuse" },
    model: {
      type: "BPE",
      dropout: null,
      unk_token: "<unk>",
      continuing_subword_prefix: null,
      end_of_word_suffix: null,
      fuse_unk: false,
      byte_fallback: false,
      ignore_merges: true,
      vocab: Object.fromEntries(VOCABULARY.map((token, id) => [token, id])),
      merges: [],
    },
  };
}

/** The content of tokenizer_config.json. */
export function tokenizerConfig(): object {
  return {
    tokenizer_class: "PreTrainedTokenizerFast",
    model_max_length: 256,
    clean_up_tokenization_spaces: false,
    eos_token: "<|im_end|>",
    pad_token: "<|endoftext|>",
    unk_token: "<unk>",
    chat_template: CHAT_TEMPLATE,
  };
}
