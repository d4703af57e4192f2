import { describe, expect, it } from "vitest";
import { isLost, type Setback, TinkerError, verdictOn } from "./retry.ts";

const on = (step: "submit" | "poll", setback: Setback, tries = 1) => verdictOn(step, setback, tries, () => 0);

describe("the table of retries", () => {
  it.each<["submit" | "poll", Setback, number, ReturnType<typeof verdictOn>]>([
    ["submit", { status: 408 }, 1, { next: "again", waitMs: 500 }],
    ["submit", { status: 500 }, 3, { next: "again", waitMs: 2000 }],
    ["submit", { status: 503 }, 20, { next: "again", waitMs: 10_000 }],
    ["submit", { status: 409 }, 1, { next: "again", waitMs: 500 }],
    ["submit", { status: 409 }, 8, { next: "fail" }],
    ["submit", { status: 400 }, 2, { next: "again", waitMs: 1000 }],
    ["submit", { status: 400 }, 3, { next: "fail" }],
    ["submit", { status: 429 }, 2, { next: "again", waitMs: 2000 }],
    ["submit", { status: 429, retryAfterMs: 7 }, 2, { next: "again", waitMs: 7 }],
    ["submit", { status: 402 }, 5, { next: "again", waitMs: 5000 }],
    ["submit", { status: 402 }, 721, { next: "fail" }],
    ["submit", { failure: "connect" }, 9, { next: "again", waitMs: 30_000 }],
    ["submit", { failure: "cut" }, 1, { next: "again", waitMs: 1000 }],
    ["submit", { failure: "aborted" }, 1, { next: "fail" }],
    ["poll", { failure: "deadline" }, 1, { next: "again", waitMs: 0 }],
    ["poll", { status: 408 }, 99, { next: "again", waitMs: 0 }],
    ["poll", { status: 410 }, 1, { next: "resubmit" }],
    ["poll", { status: 404 }, 1, { next: "resubmit" }],
    ["poll", { status: 502 }, 1, { next: "again", waitMs: 100 }],
  ])("%s %j, try %i", (step, setback, tries, verdict) => {
    expect(on(step, setback, tries)).toEqual(verdict);
  });
  it.each([401, 403, 404, 422])("a request is never made again after %i", (status) => {
    expect(on("submit", { status })).toEqual({ next: "fail" });
  });
});

it("tells what a server has lost from what it refuses", () => {
  const lost = (status: number, message = "refused") => isLost(new TinkerError(message, { status }));
  expect([404, 409, 410, 422, 401, 500].map((status) => lost(status))).toEqual([true, true, true, false, false, false]);
  expect([lost(400), lost(400, "Model m1 not loaded"), isLost(new Error("not loaded"))]).toEqual([false, true, false]);
});
