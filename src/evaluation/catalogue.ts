// The benchmarks that evaluations name: where each lies on the Hugging Face Hub, which columns its rows have, how it is graded,
// and how the paper samples it. Rows are never shipped; load.ts reads or fetches them. Knows neither files nor models.
// Sources: the list and mean@32 are R-Zero, section 4.1; data sets as in the released code (evaluation/datasets_loader.py), except
// AMC23, Minerva, OlympiadBench and AIME25, which are read from the math-ai copies of the same questions; each entry says what
// its file and columns were checked against.

/** How an answer column holds the ground truth. */
export type AnswerForm =
  /** The cell is the answer. */
  | "plain"
  /** The text after the last `####`, thousands commas dropped (GSM8K). */
  | "after-hashes"
  /** A list of answers; all are asked for, joined by a comma (OlympiadBench). */
  | "list";

/** Which columns of a row mean what. A category or id that is absent is left out. */
export interface ColumnMap {
  readonly question: string;
  readonly answer: string;
  readonly answerForm: AnswerForm;
  readonly choices?: string;
  readonly category?: string;
  readonly id?: string;
  /** Difficulty as a number. */
  readonly level?: string;
}

/** File formats that readers.ts knows. */
export type TableFormat = "parquet" | "jsonl" | "csv";

/** One benchmark of the table. */
export interface BenchmarkSource {
  /** What `--bench` takes. */
  readonly name: string;
  /** As papers write it. */
  readonly title: string;
  /** `owner/name` of the data set on the Hub. */
  readonly dataset: string;
  /** Branch, tag or commit. A branch moves: the result file names the commit that was read. */
  readonly revision: string;
  /** Files inside the data set, in order. */
  readonly files: readonly string[];
  readonly format: TableFormat;
  readonly columns: ColumnMap;
  /** `math`: mathematical equivalence (answer/), which also covers text answers; `letter`: the letter of a choice. */
  readonly grading: "math" | "letter";
  /** The paper's protocol: 1 is greedy pass@1, 32 is mean@32 of sampled answers. */
  readonly paperSamples: 1 | 32;
  /** Questions that the source has; another number is told to the user, not refused. */
  readonly questions: number;
}

const plain = { answerForm: "plain" } as const;

/** The table, mathematics first, in the paper's order. */
export const BENCHMARKS: readonly BenchmarkSource[] = [
  {
    // Columns problem, solution, answer, subject, level (1 to 5), unique_id: the data set's card.
    name: "math-500",
    title: "MATH-500",
    dataset: "HuggingFaceH4/MATH-500",
    revision: "main",
    files: ["test.jsonl"],
    format: "jsonl",
    columns: { ...plain, question: "problem", answer: "answer", category: "subject", id: "unique_id", level: "level" },
    grading: "math",
    paperSamples: 1,
    questions: 500,
  },
  {
    // Columns question, answer (worked solution, then `#### answer`): the data set's card.
    name: "gsm8k",
    title: "GSM8K",
    dataset: "openai/gsm8k",
    revision: "main",
    files: ["main/test-00000-of-00001.parquet"],
    format: "parquet",
    columns: { question: "question", answer: "answer", answerForm: "after-hashes" },
    grading: "math",
    paperSamples: 1,
    questions: 1319,
  },
  {
    // File: listing of the data set. Columns id, question, answer, url: as public evaluations read them.
    name: "amc23",
    title: "AMC23",
    dataset: "math-ai/amc23",
    revision: "main",
    files: ["test-00000-of-00001.parquet"],
    format: "parquet",
    columns: { ...plain, question: "question", answer: "answer", id: "id" },
    grading: "math",
    paperSamples: 32,
    questions: 40,
  },
  {
    // File: listing of the data set. Columns question, answer: as public evaluations read them.
    name: "minerva",
    title: "Minerva Math",
    dataset: "math-ai/minervamath",
    revision: "main",
    files: ["test.jsonl"],
    format: "jsonl",
    columns: { ...plain, question: "question", answer: "answer" },
    grading: "math",
    paperSamples: 1,
    questions: 272,
  },
  {
    // File: listing of the data set. Columns id, question, final_answer (list), subfield: as public evaluations read them.
    name: "olympiadbench",
    title: "OlympiadBench",
    dataset: "math-ai/olympiadbench",
    revision: "main",
    files: ["test.jsonl"],
    format: "jsonl",
    columns: { question: "question", answer: "final_answer", answerForm: "list", category: "subfield", id: "id" },
    grading: "math",
    paperSamples: 1,
    questions: 674,
  },
  {
    // Columns id, problem, solution, answer, url, year: the data set's card.
    name: "aime24",
    title: "AIME 2024",
    dataset: "HuggingFaceH4/aime_2024",
    revision: "main",
    files: ["data/train-00000-of-00001.parquet"],
    format: "parquet",
    columns: { ...plain, question: "problem", answer: "answer", id: "id" },
    grading: "math",
    paperSamples: 32,
    questions: 30,
  },
  {
    // File: listing of the data set. Columns problem, answer, id: as public evaluations read them.
    name: "aime25",
    title: "AIME 2025",
    dataset: "math-ai/aime25",
    revision: "main",
    files: ["test.jsonl"],
    format: "jsonl",
    columns: { ...plain, question: "problem", answer: "answer", id: "id" },
    grading: "math",
    paperSamples: 32,
    questions: 30,
  },
  {
    // Columns question_id, question, options, answer (letter), answer_index, cot_content, category, src: the data set's card.
    name: "mmlu-pro",
    title: "MMLU-Pro",
    dataset: "TIGER-Lab/MMLU-Pro",
    revision: "main",
    files: ["data/test-00000-of-00001.parquet"],
    format: "parquet",
    columns: { ...plain, question: "question", answer: "answer", choices: "options", category: "category", id: "question_id" },
    grading: "letter",
    paperSamples: 1,
    questions: 12_032,
  },
  {
    // Columns uuid, question, options, answer (text), answer_letter, discipline, field, subfield, difficulty: the released rows.
    name: "supergpqa",
    title: "SuperGPQA",
    dataset: "m-a-p/SuperGPQA",
    revision: "main",
    files: ["SuperGPQA-all.jsonl"],
    format: "jsonl",
    columns: { ...plain, question: "question", answer: "answer_letter", choices: "options", category: "discipline", id: "uuid" },
    grading: "letter",
    paperSamples: 1,
    questions: 26_529,
  },
  {
    // File: listing of the data set. Columns task, question, answer: as the released R-Zero and General-Reasoner read them.
    name: "bbeh",
    title: "BBEH",
    dataset: "MrLight/bbeh-eval",
    revision: "main",
    files: ["train.jsonl"],
    format: "jsonl",
    columns: { ...plain, question: "question", answer: "answer", category: "task" },
    grading: "math",
    paperSamples: 1,
    questions: 4520,
  },
];

/** The entry of a name, written in any case and with or without "-" and "_"; undefined when there is none. */
export function findBenchmark(name: string): BenchmarkSource | undefined {
  const plainName = (text: string) => text.toLowerCase().replace(/[-_ ]/g, "");
  return BENCHMARKS.find((source) => plainName(source.name) === plainName(name));
}
