import { expect, it } from "vitest";
import { DataError, EngineError } from "../util/errors.ts";
import { isOutOfMemory, withLessMemory } from "./restart.ts";

const signal = new AbortController().signal;

it("halves micro-batches after a lack of memory, and says so", async () => {
  const told: number[] = [];
  const attempts: number[] = [];
  const result = await withLessMemory({
    maxTokens: 1000,
    signal,
    attempt: async (tokens) => {
      attempts.push(tokens);
      if (tokens > 300)
        throw new EngineError("engine: the worker crashed: ERR_WORKER_OUT_OF_MEMORY while a call was in progress.");
      return "done";
    },
    less: ({ maxTokensPerMicroBatch }) => told.push(maxTokensPerMicroBatch),
  });
  expect([result, attempts, told]).toEqual(["done", [1000, 500, 250], [500, 250]]);
});

it("gives up with the last error when halving does not help", async () => {
  let attempts = 0;
  const never = withLessMemory({
    maxTokens: 8192,
    signal,
    attempt: async () => {
      attempts++;
      throw new EngineError("device memory: expected 9.0 MiB more, got none.");
    },
    less: () => {},
  });
  await expect(never).rejects.toThrow("device memory");
  expect(attempts).toBe(5);
});

it("tells a lack of memory from other failures", () => {
  expect(isOutOfMemory(new EngineError("engine: the worker ended with code 1 while a call was in progress."))).toBe(true);
  expect(isOutOfMemory(new EngineError("sample: expected a seed."))).toBe(false);
  expect(isOutOfMemory(new DataError("out of memory"))).toBe(false);
});
