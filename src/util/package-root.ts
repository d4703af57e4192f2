// Where the package lies on this machine: recipes, assets and native sources are found from here, in a checkout and when installed.

import { readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

/** Absolute directory that holds package.json. */
export const packageRoot = dirname(dirname(dirname(fileURLToPath(import.meta.url))));

/** Version of this package. */
export function packageVersion(): string {
  const { version } = JSON.parse(readFileSync(join(packageRoot, "package.json"), "utf8")) as { version: string };
  return version;
}
