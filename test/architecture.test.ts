// Holds the import-direction rule of biome.json: a wrong import in each layer fails the lint, a right one does not, and every
// folder of src/ has a rule.

import { spawnSync } from "node:child_process";
import { copyFileSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, describe, expect, it } from "vitest";

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const scratch = mkdtempSync(join(tmpdir(), "rzero-lint-"));
afterAll(() => rmSync(scratch, { recursive: true, force: true }));

/** Files that break the rule, by path and import. */
const WRONG: [file: string, imported: string][] = [
  ["src/util/a.ts", "../store/jsonl.ts"],
  ["src/config/a.ts", "../engine/types.ts"],
  ["src/engine/a.ts", "../grpo/loss.ts"],
  ["src/engine/local/a.ts", "../../selfplay/run.ts"],
  ["src/engine/local/device/cpu/a.ts", "../../../../config/schema.ts"],
  ["src/answer/a.ts", "../prompts/solver.ts"],
  ["src/answer/b.ts", "node:fs"],
  ["src/prompts/a.ts", "../reward/solver.ts"],
  ["src/reward/a.ts", "../selfplay/run.ts"],
  ["src/reward/b.ts", "node:fs"],
  ["src/curriculum/a.ts", "../store/jsonl.ts"],
  ["src/grpo/a.ts", "../engine/create.ts"],
  ["src/rollout/a.ts", "../grpo/loss.ts"],
  ["src/store/a.ts", "../selfplay/run.ts"],
  ["src/evaluation/a.ts", "../selfplay/run.ts"],
  ["src/report/a.ts", "../engine/types.ts"],
  ["src/tiny-world/a.ts", "../selfplay/run.ts"],
  ["src/sft/a.ts", "../selfplay/run.ts"],
  ["src/selfplay/a.ts", "../engine/local/engine.ts"],
  ["src/selfplay/b.ts", "../cli/output.ts"],
  ["src/cli/a.ts", "../engine/local/engine.ts"],
  ["src/server/a.ts", "../engine/create.ts"],
  ["src/server/b.ts", "../cli/output.ts"],
  ["src/selfplay/c.ts", "../server/http.ts"],
  ["src/engine/b.ts", "../server/http.ts"],
  ["src/dashboard/a.ts", "../engine/types.ts"],
  ["src/dashboard/b.ts", "../selfplay/run.ts"],
  ["src/dashboard/c.ts", "../cli/output.ts"],
  ["src/dashboard/page/a.ts", "../../store/run-store.ts"],
  ["src/dashboard/page/views/b.ts", "../../server.ts"],
  ["src/dashboard/page/c.ts", "node:fs"],
  ["src/selfplay/d.ts", "../dashboard/api.ts"],
  ["src/server/c.ts", "../dashboard/api.ts"],
  ["src/tinker-wire/a.ts", "../engine/types.ts"],
  ["src/selfplay/e.ts", "../tinker-wire/training.ts"],
  ["src/study/a.ts", "../selfplay/run.ts"],
];

/** Files that keep it. */
const RIGHT: [file: string, imported: string][] = [
  ["src/engine/local/r.ts", "../types.ts"],
  ["src/engine/local/s.ts", "../../util/errors.ts"],
  ["src/engine/r.ts", "./local/engine.ts"],
  ["src/grpo/r.ts", "../engine/types.ts"],
  ["src/reward/r.ts", "../answer/vote.ts"],
  ["src/selfplay/r.ts", "../grpo/step.ts"],
  ["src/selfplay/s.ts", "../engine/types.ts"],
  ["src/report/r.ts", "../store/run-store.ts"],
  ["src/report/s.ts", "../evaluation/statistics.ts"],
  ["src/cli/r.ts", "../engine/create.ts"],
  ["src/server/r.ts", "../engine/types.ts"],
  ["src/cli/s.ts", "../server/openai.ts"],
  ["src/dashboard/r.ts", "../store/run-store.ts"],
  ["src/dashboard/page/r.ts", "../api.ts"],
  ["src/dashboard/page/views/s.ts", "../../../util/format.ts"],
  ["src/dashboard/s.ts", "../server/http.ts"],
  ["src/dashboard/t.ts", "../selfplay/guard-rules.ts"],
  ["src/cli/t.ts", "../dashboard/server.ts"],
  ["src/engine/remote/r.ts", "../../tinker-wire/training.ts"],
  ["src/server/s.ts", "../tinker-wire/training.ts"],
  ["src/study/r.ts", "../report/svg/line-chart.ts"],
];

function lint(): Set<string> {
  copyFileSync(join(root, "biome.json"), join(scratch, "biome.json"));
  for (const [file, imported] of [...WRONG, ...RIGHT]) {
    mkdirSync(join(scratch, dirname(file)), { recursive: true });
    writeFileSync(join(scratch, file), `import { thing } from "${imported}";\n\nthing();\n`);
  }
  const biome = join(root, "node_modules", "@biomejs", "biome", "bin", "biome");
  const { stdout, stderr } = spawnSync(process.execPath, [biome, "lint", "--max-diagnostics=500", "--colors=off", "."], {
    cwd: scratch,
    encoding: "utf8",
  });
  return new Set(
    [...`${stdout}${stderr}`.matchAll(/^(src\/\S+?):\d+:\d+ lint\/style\/noRestrictedImports/gm)].map(([, file]) => file),
  );
}

describe("imports go down only", () => {
  const restricted = lint();

  it.each(WRONG)("%s may not import %s", (file) => {
    expect(restricted.has(file)).toBe(true);
  });

  it.each(RIGHT)("%s may import %s", (file) => {
    expect(restricted.has(file)).toBe(false);
  });

  it("every folder of src/ has a rule", () => {
    const { overrides } = JSON.parse(readFileSync(join(root, "biome.json"), "utf8")) as { overrides: { includes: string[] }[] };
    const covered = new Set(overrides.flatMap(({ includes }) => includes));
    const folders = readdirSync(join(root, "src"), { withFileTypes: true }).filter((entry) => entry.isDirectory());
    expect(folders.map(({ name }) => name).filter((name) => !covered.has(`src/${name}/**`))).toEqual([]);
  });
});
