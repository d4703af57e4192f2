// Finds the options of the configuration on a command line: `--path.to.key=value`, `--path.to.key value`, and `--key=value` for
// a key that is no option of the command itself. What is left goes to commander, which then reports real typing slips.

import { type Override, parseOverride } from "../config/load.ts";
import { ConfigError } from "../util/errors.ts";

const ASSIGNED = /^--([A-Za-z]\w*(?:\.\w+)*)=/;
const DOTTED = /^--[A-Za-z]\w*(?:\.\w+)+$/;

/** Splits arguments; `known` are the command's own long options (`--seed`). Errors: ConfigError for a key without a value. */
export function splitOverrides(args: readonly string[], known: ReadonlySet<string>): { rest: string[]; overrides: Override[] } {
  const rest: string[] = [];
  const overrides: Override[] = [];
  for (let index = 0; index < args.length; index++) {
    const argument = args[index];
    const assigned = ASSIGNED.exec(argument);
    if (argument === "--") {
      rest.push(...args.slice(index));
      break;
    }
    if (assigned && !known.has(`--${assigned[1]}`)) overrides.push(parseOverride(argument));
    else if (DOTTED.test(argument)) {
      const value = args[++index];
      if (value === undefined || value.startsWith("--"))
        throw new ConfigError(`${argument}: expected a value, got none. Write ${argument}=VALUE.`);
      overrides.push({ path: argument.slice(2).split("."), text: value });
    } else rest.push(argument);
  }
  return { rest, overrides };
}
