// `npm run study`: the ablations of study/arms.yaml over seeds, into docs/results/. `--help` shows the options.

import { main } from "../dist/study/main.js";

try {
  process.exitCode = await main(process.argv.slice(2));
} catch (error) {
  if (!["ConfigError", "DataError", "CheckpointError", "EngineError", "DiskError"].includes(error?.name)) throw error;
  console.error(`error: ${error.message}`);
  process.exitCode = error.name === "ConfigError" || error.name === "DataError" ? 2 : 1;
}
