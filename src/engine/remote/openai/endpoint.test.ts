import { describe, expect, it } from "vitest";
import type { Clock } from "../../../util/clock.ts";
import { Endpoint } from "./endpoint.ts";

const facts = { dialect: "vllm", model: "m", context: 64 } as const;

function upAt(first: number, most: number) {
  let now = 0;
  const clock: Clock = { now: () => now, sleep: async () => {} };
  const endpoint = new Endpoint({ url: "http://a" }, { first, most }, clock);
  endpoint.cameUp(facts);
  const answer = (times: number) => {
    for (let i = 0; i < times; i++) endpoint.succeeded(1, 1);
  };
  return { endpoint, answer, pass: (ms: number) => (now += ms), now: () => now, window: () => endpoint.report().window };
}

describe("the window of an endpoint", () => {
  it("grows with every answer at first, halves once per refusal, then grows by one per window", () => {
    const { endpoint, answer, pass, now, window } = upAt(4, 64);
    answer(12);
    expect(window()).toBe(16);
    pass(10);
    const sentBefore = now() - 5;
    endpoint.throttled(sentBefore, 500);
    endpoint.throttled(sentBefore, 100);
    expect(window()).toBe(8);
    expect(endpoint.hasRoom).toBe(false);
    expect(endpoint.wakesAt).toBe(510);
    pass(500);
    expect(endpoint.hasRoom).toBe(true);
    answer(7);
    expect(window()).toBe(8);
    answer(2);
    expect(window()).toBe(9);
    answer(100_000);
    expect(window()).toBe(64);
  });

  it("does not grow while work waits in the server's own queue, and shrinks when much does", () => {
    const { endpoint, answer, window } = upAt(16, 64);
    endpoint.queued(16, 3);
    answer(50);
    expect(window()).toBe(16);
    endpoint.queued(4, 12);
    expect(window()).toBe(12);
    endpoint.queued(4, 0);
    answer(13);
    expect(window()).toBe(13);
  });
});

describe("the breaker", () => {
  it("keeps an endpoint out for longer each time, and forgets its weights", () => {
    const { endpoint, pass, now } = upAt(4, 8);
    endpoint.weights.add("w");
    const { signal } = endpoint.controller;
    const waits: number[] = [];
    for (let i = 0; i < 8; i++) {
      endpoint.failed("refused");
      waits.push((endpoint.wakesAt ?? 0) - now());
      pass(100_000);
    }
    expect(signal.aborted).toBe(true);
    expect(endpoint.weights.size).toBe(0);
    waits.forEach((wait, i) => {
      expect(wait).toBeGreaterThanOrEqual(Math.min(60_000, 1000 * 2 ** i) / 2);
      expect(wait).toBeLessThanOrEqual(Math.min(60_000, 1000 * 2 ** i));
    });
    endpoint.cameUp(facts);
    endpoint.succeeded(1, 1);
    endpoint.failed("refused");
    expect((endpoint.wakesAt ?? 0) - now()).toBeLessThanOrEqual(1000);
  });

  it("gives up on an endpoint that answers garbage three times", () => {
    const { endpoint, pass } = upAt(4, 8);
    for (const state of ["down", "down", "gone"]) {
      endpoint.answeredGarbage("no JSON");
      expect(endpoint.state).toBe(state);
      pass(1_000_000);
      if (state === "down") expect(endpoint.isDue).toBe(true);
    }
    expect(endpoint.isDue).toBe(false);
    expect(endpoint.report()).toMatchObject({ state: "gone", garbage: 3, reason: "no JSON" });
  });
});
