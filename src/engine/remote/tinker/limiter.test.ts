import { expect, it } from "vitest";
import { Limiter } from "./limiter.ts";

const tick = () => new Promise((resolve) => setImmediate(resolve));

it("does all jobs, at most so many at once", async () => {
  const limiter = new Limiter(3, () => 0);
  const done: number[] = [];
  let [running, most] = [0, 0];
  await limiter.all([1, 2, 3, 4, 5, 6, 7], async (job) => {
    most = Math.max(most, ++running);
    await tick();
    running--;
    done.push(job);
  });
  expect([done.length, most]).toEqual([7, 3]);
});

it("halves when the server is too busy and grows again after successes", async () => {
  let refusals = 0;
  const limiter = new Limiter(8, () => refusals);
  refusals = 1;
  await limiter.all([1], tick as () => Promise<never>);
  expect(limiter.limit).toBe(4);
  await limiter.all(new Array(4).fill(0), tick as () => Promise<never>);
  expect(limiter.limit).toBe(5);
});

it("throws the first error when nothing is under way any more", async () => {
  const limiter = new Limiter(2, () => 0);
  const ended: number[] = [];
  const work = async (job: number) => {
    if (job === 1) throw new Error("one");
    await tick();
    ended.push(job);
  };
  await expect(limiter.all([1, 2, 3, 4], work)).rejects.toThrow("one");
  expect(ended).toEqual([2]);
});
