// The two streams of a command: results on standard output, everything else on standard error. With --json nothing but JSON
// goes to standard output. A reader that stops reading (`| head`) ends the program quietly. Secrets go to neither.

import { redact } from "../util/secrets.ts";

/** Makes a closed pipe end the program with exit code 0 instead of an error. */
export function endQuietlyOnClosedPipe(): void {
  for (const stream of [process.stdout, process.stderr])
    stream.on("error", (error: NodeJS.ErrnoException) => {
      if (error.code === "EPIPE") process.exit(0);
      throw error;
    });
}

/** One line of results. */
export function print(text: string): void {
  process.stdout.write(`${redact(text)}\n`);
}

/** One JSON value on one line. Numbers keep every digit; a number that is not finite becomes null. */
export function printJsonLine(value: unknown): void {
  print(JSON.stringify(value));
}

/** One JSON document for a whole command. */
export function printJson(value: unknown): void {
  print(JSON.stringify(value, undefined, process.stdout.isTTY ? 2 : undefined));
}

/** One line for the person at the terminal; never part of the results. */
export function say(text: string): void {
  process.stderr.write(`${redact(text)}\n`);
}
