import { describe, expect, it } from "vitest";
import { backoffMs, retryAfterMs, systemClock } from "./clock.ts";

describe("backoff", () => {
  it("doubles up to a limit and is shortened by at most half", () => {
    const longest = [0, 1, 2, 3, 9, 5000].map((attempt) => backoffMs(attempt, 100, 1500, () => 0));
    expect(longest).toEqual([100, 200, 400, 800, 1500, 1500]);
    expect(backoffMs(3, 100, 1500, () => 1)).toBe(400);
  });
});

describe("Retry-After", () => {
  it("is seconds or a date, and bounded", () => {
    expect(retryAfterMs("3")).toBe(3000);
    expect(retryAfterMs(" 0.5 ")).toBe(500);
    const now = Date.parse("Wed, 21 Oct 2015 07:28:00 GMT");
    expect(retryAfterMs("Wed, 21 Oct 2015 07:28:30 GMT", now)).toBe(30_000);
    expect(retryAfterMs("Wed, 21 Oct 2015 07:27:00 GMT", now)).toBe(0);
    expect(retryAfterMs("999999999")).toBe(3_600_000);
    expect(retryAfterMs("soon")).toBeUndefined();
    expect(retryAfterMs(undefined)).toBeUndefined();
  });
});

describe("sleep", () => {
  it("ends at once when the signal aborts", async () => {
    const stop = new AbortController();
    const asleep = systemClock.sleep(3_600_000, stop.signal);
    stop.abort();
    await asleep;
    await systemClock.sleep(3_600_000, stop.signal);
  });
});
