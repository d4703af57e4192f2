import { describe, expect, it } from "vitest";
import { questionSearch } from "../api-questions.ts";
import { hrefTo, parseRoute } from "./address.ts";
import { filterOf } from "./question-filter.ts";

describe("filterOf", () => {
  it("reads every condition and passes it on", () => {
    const query = new URLSearchParams(
      "iteration=2&verdict=kept&label=wrong&cluster=7&trained=yes&min=50&max=90&search=a%26b&sort=share&down=1",
    );
    expect(questionSearch(filterOf("tiny", query))).toBe(
      "/api/questions?run=tiny&iteration=2&verdict=kept&label=wrong&cluster=7&trained=true&minShare=0.5&maxShare=0.9&search=a%26b&sort=share&descending=true",
    );
  });

  it("leaves out what it does not know", () => {
    const query = new URLSearchParams("iteration=x&label=maybe&sort=constructor&min=200&max=&source=elsewhere");
    expect(questionSearch(filterOf("tiny", query))).toBe("/api/questions?run=tiny");
  });
});

describe("route", () => {
  it("is read as it was written", () => {
    const { path, query } = parseRoute(hrefTo(["run", "a/b c"], { search: "x y", none: undefined }));
    expect(path).toEqual(["run", "a/b c"]);
    expect(Object.fromEntries(query)).toEqual({ search: "x y" });
    expect(parseRoute("#/run/%E0%A4%A").path).toEqual(["run", "%E0%A4%A"]);
  });
});
