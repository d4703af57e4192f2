// The list of questions over a store too tall for a browser's element: every frame of a scroll is full of rows, the ends are reached, filter
// and sort answer. RZERO_PAGE_SCALE=10 takes a million questions; the default is what CI has time for. Times are in docs/dashboard.md.

import { mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Browser, Page } from "playwright-core";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { findChromium, makeRun, openBrowser, SOON, startUi, type Ui, WITHOUT_CHROMIUM, watchPage } from "./browser.ts";

const executable = findChromium();
if (executable === undefined) console.warn(`dashboard-large.test.ts ${WITHOUT_CHROMIUM}`);
const SCALE = Number(process.env.RZERO_PAGE_SCALE ?? 2);
const POOL = 100_000 * SCALE;
const scratch = mkdtempSync(join(tmpdir(), "rzero-large-"));
const runs = join(scratch, "runs");

/** What of the list's window is covered by rows, sampled in every frame of `frames`; 1: all of it. */
async function leastCover(page: Page, frames: number): Promise<number> {
  return page.evaluate(async (left) => {
    const box = document.querySelector(".grid-body") as HTMLElement;
    let least = 1;
    for (let frame = 0; frame < left; frame++) {
      await new Promise(requestAnimationFrame);
      const { top, bottom } = box.getBoundingClientRect();
      const covered = [...box.querySelectorAll(".grid-row")].reduce((sum, row) => {
        const place = row.getBoundingClientRect();
        return sum + Math.max(Math.min(place.bottom, bottom) - Math.max(place.top, top), 0);
      }, 0);
      least = Math.min(least, covered / box.clientHeight);
    }
    return least;
  }, frames);
}

describe.skipIf(executable === undefined)("a list of very many questions", () => {
  let browser: Browser;
  let ui: Ui;
  let page: Page;
  let faults: string[];

  beforeAll(async () => {
    mkdirSync(runs);
    makeRun(runs, "like");
    const { writeRun } = (await import("../../bench/dashboard-store.mjs" as string)) as { writeRun: (...of: unknown[]) => void };
    writeRun(runs, "large", join(runs, "like"), 1, { scale: SCALE, steps: 2 });
    ui = await startUi(runs);
    browser = await openBrowser(executable as string);
    page = await browser.newPage({ viewport: { width: 1200, height: 800 } });
    faults = watchPage(page, ui.url);
    await page.goto(`${ui.url}/#/run/large/questions?source=pool`);
    await page.getByText(`${POOL.toLocaleString("en")} questions`, { exact: true }).waitFor({ timeout: 60_000 * SCALE });
  }, 180_000 * SCALE);
  afterAll(async () => {
    await browser?.close();
    await ui?.stop();
    rmSync(scratch, { recursive: true, force: true });
  });

  const numbers = () => page.locator(".grid-window .cell-number").allInnerTexts();
  const settled = () => expect.poll(() => page.getByText("reading …").count(), SOON).toBe(0);

  it("is full of rows in every frame of a scroll, and they come", async () => {
    await page.locator(".grid-body").hover();
    const watching = leastCover(page, 60);
    for (let turn = 0; turn < 12; turn++) await page.mouse.wheel(0, 900);
    expect(await watching).toBeGreaterThan(0.99);
    await settled();
    expect(await page.locator(".grid-window .vote-bar").count()).toBeGreaterThan(10);
  });

  it("reaches the middle and both ends", async () => {
    const drag = (share: number) =>
      page.locator(".grid-body").evaluate((box, to) => {
        box.scrollTop = to * (box.scrollHeight - box.clientHeight);
      }, share);
    const watching = leastCover(page, 30);
    await drag(0.5);
    expect(await watching).toBeGreaterThan(0.99);
    await expect.poll(async () => Number((await numbers())[0].replaceAll(",", "")) / POOL, SOON).toBeCloseTo(0.5, 2);
    await settled();
    await drag(1);
    await expect.poll(async () => (await numbers()).at(-1), SOON).toBe(POOL.toLocaleString("en"));
    await settled();
    await drag(0);
    await expect.poll(async () => (await numbers())[0], SOON).toBe("1");
    await settled();
  });

  it("sorts and filters all of them", async () => {
    await page.getByRole("button", { name: "p̂" }).click();
    await settled();
    const shares = async () =>
      (await page.locator(".grid-window .cell-share").allInnerTexts()).map((text) => Number.parseInt(text, 10));
    await expect.poll(async () => (await shares())[0], SOON).toBeLessThan(40);
    await page.getByRole("button", { name: "p̂" }).click();
    await expect.poll(async () => (await shares())[0], SOON).toBe(100);
    await page.getByLabel("Search").fill("multiples");
    await expect.poll(() => page.locator(".grid-window .cell-question").first().innerText(), SOON).toMatch(/multiples/);
    await expect.poll(() => page.locator(".count").innerText(), SOON).toMatch(/^\d+[,\d]* questions$/);
    expect(faults).toEqual([]);
  });
});
