import { readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, it } from "vitest";
import { equivalent, vote } from "./index.ts";
import { packageRoot } from "./util/package-root.ts";

it("is what package.json exports, and works", () => {
  const { exports } = JSON.parse(readFileSync(join(packageRoot, "package.json"), "utf8"));
  expect(exports["."]).toEqual({ types: "./dist/index.d.ts", default: "./dist/index.js" });
  expect(equivalent({ predicted: "0.5", truth: "\\frac12" }).equivalent).toBe(true);
  expect(vote(["1", "2", "1"], { missing: "no-vote" }).majority).toBe("1");
});
