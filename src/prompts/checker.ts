// A checker program that a question may carry: `<checker>…</checker>` within its text. It judges answers (config domain.verifier) and is
// never shown to the Solver. Knows the mark, not what a program does.

const CHECKER = /<checker>([\s\S]*?)<\/checker>/g;

/** The question without its checker, and the checker's program: the last one, undefined without any. */
export function splitChecker(question: string): { readonly text: string; readonly program: string | undefined } {
  const program = [...question.matchAll(CHECKER)].at(-1)?.[1].trim();
  return { text: program === undefined ? question : question.replace(CHECKER, "").trim(), program };
}
