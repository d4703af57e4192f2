import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { parseCsv } from "./csv.ts";

const fields = (text: string) => parseCsv(text, "t.csv").map((record) => record.fields);

describe("parseCsv", () => {
  it("reads quotes, doubled quotes, commas and line ends inside fields, LF and CRLF, a byte order mark", () => {
    expect(fields('\uFEFFquestion,answer\r\n"1, 2 or ""3""?","a\nb"\r\n\r\n,x\n')).toEqual([
      ["question", "answer"],
      ['1, 2 or "3"?', "a\nb"],
      ["", "x"],
    ]);
  });
  it("counts lines over line ends inside quotes", () => {
    expect(parseCsv('a,b\n"x\ny",1\nz,2', "t.csv").map(({ line }) => line)).toEqual([1, 2, 4]);
  });
  it.each([
    ['a,b\n1,"2', "t.csv:2: expected a closing quote"],
    ['a,b\n1,2"3', "t.csv:2: expected a quote only around a whole field"],
    ['a,b\n"1"x,2', "t.csv:2: expected a comma or the end of the line after a closing quote"],
    ["a,b\n1,2\n1,2,3\n", "t.csv:3: expected 2 fields as in the header, got 3"],
  ])("refuses %j", (text, message) => {
    expect(() => fields(text)).toThrow(message);
  });
  it("gives back what was written, whatever it holds", () => {
    const row = fc.array(fc.string({ unit: "binary" }), { minLength: 2, maxLength: 2 });
    fc.assert(
      fc.property(fc.array(row, { minLength: 1 }), (rows) => {
        const text = rows.map((cells) => cells.map((cell) => `"${cell.replaceAll('"', '""')}"`).join(",")).join("\r\n");
        expect(fields(text)).toEqual(rows);
      }),
      { numRuns: 50 },
    );
  });
});
