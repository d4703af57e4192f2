import { expect, it } from "vitest";
import { parseConfigText } from "../config/load.ts";
import { confirmLabels } from "./confirm.ts";
import type { LoopContext } from "./context.ts";

const labels = new Map([["1 + 1?", "2"]]);

/** A context without an engine: whoever asks the base fails. */
function context(config: string, more: Partial<LoopContext> = {}): LoopContext {
  return { config: parseConfigText(config, "r.yaml"), ...more } as LoopContext;
}

it("asks nobody unless the configuration says so, nor where a verifier has judged", async () => {
  expect(await confirmLabels(context("preset: paper"), 1, labels)).toBeUndefined();
  expect(await confirmLabels(context("audit: { confirm: { answers: 4 } }"), 1, labels)).toBeUndefined();
  const verified = context("preset: improved", { verifier: {} as NonNullable<LoopContext["verifier"]> });
  expect(await confirmLabels(verified, 1, labels)).toBeUndefined();
  await expect(confirmLabels(context("preset: improved"), 1, labels)).rejects.toThrow();
  const audited = context("audit: { probes: { data: p.jsonl }, confirm: { answers: 4 } }");
  await expect(confirmLabels(audited, 1, labels)).rejects.toThrow();
});
