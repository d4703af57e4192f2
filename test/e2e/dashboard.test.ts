// The page of `rzero ui` in a headless chromium, over a real run: what is shown, live updates, a server that comes back, filters, keyboard,
// hostile text, accessibility. Skipped, and says so, where there is no chromium.

import { appendFileSync, cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Browser, Page } from "playwright-core";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { findChromium, makeRun, openBrowser, SOON, startUi, type Ui, WITHOUT_CHROMIUM, watchPage } from "./browser.ts";

const executable = findChromium();
if (executable === undefined) console.warn(`dashboard.test.ts ${WITHOUT_CHROMIUM}`);
const axe = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");
const scratch = mkdtempSync(join(tmpdir(), "rzero-page-"));
const runs = join(scratch, "runs");

/** What a model may write to break a page that shows it. */
const HOSTILE = [
  "<img src=x onerror=\"document.title='broken'\">",
  "<script>document.title='broken'</script>",
  "$\\href{javascript:alert(1)}{x}$ and $\\htmlStyle{color:red}{y}$",
  '"><svg onload=document.title="broken">',
  "[x](javascript:alert(1)) \u202egnp.exe\u0000",
];
const MATHS = "If $x^2 = 49$ and $\\vec{v} \\cdot \\sqrt{x+2} = \\boxed{\\frac{x}{2}}$, what is \\(x\\)?";

/** A copy of the run whose pool begins with questions of our own. */
function plantQuestions(name: string): void {
  cpSync(join(runs, "real"), join(runs, name), { recursive: true });
  const file = join(runs, name, "iteration-01", "curriculum", "questions.jsonl");
  const planted = [...HOSTILE, MATHS].map((question, index) =>
    JSON.stringify({
      question,
      ownAnswer: question,
      pseudoLabel: question,
      voteShare: 0.5,
      answers: [question, question, "7", `other ${index}`],
      verdict: "kept",
    }),
  );
  writeFileSync(file, `${planted.join("\n")}\n${readFileSync(file, "utf8")}`);
}

describe.skipIf(executable === undefined)("the page of rzero ui", () => {
  let browser: Browser;
  let ui: Ui;
  const opened: { page: Page; faults: string[] }[] = [];

  beforeAll(async () => {
    mkdirSync(runs);
    makeRun(runs, "real");
    plantQuestions("planted");
    ui = await startUi(runs);
    browser = await openBrowser(executable as string);
  }, 180_000);
  afterAll(async () => {
    await browser?.close();
    await ui?.stop();
    rmSync(scratch, { recursive: true, force: true });
  });

  async function open(hash: string, width = 1200): Promise<Page> {
    const page = await browser.newPage({ viewport: { width, height: 800 } });
    opened.push({ page, faults: watchPage(page, ui.url) });
    await page.goto(`${ui.url}/${hash}`);
    return page;
  }
  /** Nothing went wrong on any page since the last look, and no page asked another origin. */
  async function expectCleanPages(): Promise<void> {
    for (const { page, faults } of opened.splice(0)) {
      expect(faults).toEqual([]);
      await page.close();
    }
  }
  const rowTexts = (page: Page) => page.locator(".grid-window .cell-question").allInnerTexts();
  const questions = (name: string, query = "") => `#/run/${name}/questions${query}`;

  it("shows the runs, and a run's timeline, scores and curves", async () => {
    const page = await open("");
    const row = page.getByRole("row", { name: /real/ });
    await row.waitFor();
    expect(await row.innerText()).toMatch(/done[\s\S]*tiny[\s\S]*local[\s\S]*100 %/);
    await row.getByRole("link").click();
    await page.getByRole("heading", { name: "Scores" }).waitFor();
    expect(await page.locator(".timeline .span").allInnerTexts()).toHaveLength(6);
    await page
      .getByRole("img", { name: /^reward over 2 points by step/ })
      .first()
      .waitFor();
    const table = page.getByRole("table", { name: /held-out/ });
    expect(await table.innerText()).toMatch(/720 questions[\s\S]*base[\s\S]*iteration 1[\s\S]*95 % interval/);
    await expectCleanPages();
  });

  it("shows an event within a second of its being written, and reconnects to a server that comes back", async () => {
    cpSync(join(runs, "real"), join(runs, "live"), { recursive: true });
    const page = await open("#/run/live");
    await page.locator(".connection-live").waitFor();
    const warn = (message: string) =>
      appendFileSync(
        join(runs, "live", "events.jsonl"),
        `${JSON.stringify({ time: new Date().toISOString(), event: "warning", iteration: 1, phase: "solver", message })}\n`,
      );
    warn("the first notice");
    // A bound that holds on a busy machine; the measured time is in docs/dashboard.md.
    await page.getByText("the first notice").waitFor({ timeout: 10_000 });
    const { port } = ui;
    await ui.stop();
    await page.locator(".connection-reconnecting").waitFor();
    warn("written while nobody served");
    ui = await startUi(runs, port);
    await page.getByText("written while nobody served").waitFor({ timeout: 20_000 });
    await page.locator(".connection-live").waitFor();
    await expectCleanPages();
  });

  it("filters, searches and sorts the questions, and keeps it in the address", async () => {
    const page = await open(questions("real"));
    await page.locator(".grid-window .cell-question a").first().waitFor();
    expect(await page.locator(".count").innerText()).toMatch(/^\d[\d,]* questions/);
    await page.getByRole("button", { name: "p̂" }).click();
    await page.getByRole("button", { name: "p̂" }).click();
    await expect.poll(() => page.url(), SOON).toMatch(/sort=share&down=1/);
    const shares = async () =>
      (await page.locator(".grid-window .cell-share").allInnerTexts())
        .filter((text) => text.endsWith("%"))
        .map((text) => Number.parseInt(text, 10));
    await expect.poll(async () => (await shares())[0], SOON).toBeGreaterThanOrEqual(75);
    const sorted = await shares();
    expect(sorted).toEqual([...sorted].sort((a, b) => b - a));
    await page.getByLabel("Verdict").selectOption("kept");
    await expect
      .poll(async () => new Set(await page.locator(".grid-window .cell-verdict").allInnerTexts()), SOON)
      .toEqual(new Set(["kept"]));
    await page.getByLabel("Search").fill("zzzzzz");
    await page.getByText("No question meets these conditions.").waitFor();
    await expectCleanPages();
  });

  it("typesets mathematics under the content-security policy", async () => {
    const page = await open(questions("planted", "?search=what%20is&iteration=1"));
    const row = page
      .locator(".grid-row", { hasText: "what is" })
      .filter({ has: page.locator(".katex") })
      .first();
    await row.locator(".katex-html").first().waitFor();
    await row.locator("a").first().click();
    const heading = page.locator(".question-text");
    await heading.locator(".katex-html").first().waitFor();
    expect(await heading.locator("math").count()).toBe(3);
    // The arrow of \vec has its width from a style that the policy forbids as an attribute.
    expect(await heading.locator(".overlay").evaluate((arrow) => arrow.getBoundingClientRect().width)).toBeGreaterThan(1);
    await page.evaluate(() => document.fonts.ready);
    expect(
      await page.evaluate(() => [...document.fonts].some(({ family, status }) => family === "KaTeX_Math" && status === "loaded")),
    ).toBe(true);
    await expectCleanPages();
  });

  it("shows what a model wrote as text, whatever it is", async () => {
    const page = await open(questions("planted", "?source=pool"));
    await page.locator(".grid-window .cell-question a").first().waitFor();
    const texts = (await rowTexts(page)).join("\n");
    for (const text of [HOSTILE[0], HOSTILE[1], HOSTILE[3]]) expect(texts).toContain(text);
    for (let index = 0; index < HOSTILE.length; index++) {
      await page.goto(`${ui.url}/${questions("planted", "?source=pool")}`);
      await page.locator(`.grid-row[data-index="${index}"] a`).click();
      await page.getByRole("heading", { name: "Votes" }).waitFor();
    }
    expect(await page.title()).not.toContain("broken");
    expect(await page.locator("main img, main script, main a[href^=javascript]").count()).toBe(0);
    await expectCleanPages();
  });

  it("shows the answers that a step trained on, with shaded tokens", async () => {
    const page = await open(questions("real", "?trained=yes&source=pool"));
    await page.locator(".grid-window .cell-question a").first().click();
    await page.locator(".rollout").first().waitFor();
    expect(await page.locator(".rollout").count()).toBe(4);
    expect(await page.locator(".rollout [class*=surprise-]").count()).toBeGreaterThan(10);
    await page.getByLabel("advantage").check();
    await page.locator(".rollout [class*=push-]").first().waitFor();
    await expectCleanPages();
  });

  it("can be used with the keyboard alone", async () => {
    const page = await open(questions("real"));
    await page.locator(".grid-window .cell-question a").first().waitFor();
    await page.keyboard.press("Tab");
    expect(await page.evaluate(() => document.activeElement?.textContent)).toBe("Skip to the content");
    await page.locator("[data-current] a").focus();
    const focused = () => page.evaluate(() => document.activeElement?.closest<HTMLElement>(".grid-row")?.dataset.index);
    await page.keyboard.press("ArrowDown");
    await expect.poll(focused, SOON).toBe("1");
    await page.keyboard.press("End");
    const count = Number.parseInt((await page.locator(".count").innerText()).replaceAll(",", ""), 10);
    await expect.poll(focused, SOON).toBe(String(count - 1));
    await page.locator("[data-current] a[href]:focus").waitFor();
    await page.keyboard.press("Enter");
    await page.getByRole("heading", { name: "Nearest earlier questions" }).waitFor();
    await page.keyboard.press("Escape");
    await page.locator(".grid").waitFor();
    // The list is found as it was left.
    await page.locator(`.grid-row[data-index="${count - 1}"]`).waitFor();
    await page.keyboard.press("?");
    await page.getByRole("dialog", { name: "Keyboard" }).waitFor();
    await page.keyboard.press("Escape");
    await page.keyboard.press("5");
    await page.getByRole("heading", { name: "Decisions" }).waitFor();
    await expectCleanPages();
  });

  it.each(["light", "dark"] as const)("has no serious finding of axe and fits a phone, %s", async (colorScheme) => {
    const places = [
      "",
      "#/run/real",
      "#/run/real/matrix",
      questions("real"),
      "#/run/real/diversity",
      "#/run/real/health",
      "#/compare?runs=real,planted",
    ];
    for (const place of places) {
      const page = await open(place);
      await page.emulateMedia({ colorScheme });
      await page.locator("main table, main .state, main .grid").first().waitFor();
      await page.locator(".state-loading").first().waitFor({ state: "detached" });
      await page.evaluate(axe);
      const found = await page.evaluate(async () => {
        const { axe: checker } = globalThis as unknown as { axe: typeof import("axe-core") };
        const { violations } = await checker.run();
        return violations
          .filter(({ impact }) => impact === "serious" || impact === "critical")
          .map(({ id, nodes }) => `${id}: ${nodes[0].html}`);
      });
      expect({ place, found }).toEqual({ place, found: [] });
      await page.setViewportSize({ width: 360, height: 740 });
      const over = await page.evaluate(() => document.documentElement.scrollWidth - innerWidth);
      expect({ place, over: Math.max(over, 0) }).toEqual({ place, over: 0 });
    }
    await expectCleanPages();
  });
});
