import { describe, expect, it } from "vitest";
import { forestPlot } from "./forest-plot.ts";
import { escapeXml, linearScale, niceTicks, svgDocument } from "./frame.ts";
import { lineChart } from "./line-chart.ts";

/** Elements that are opened and not closed, or closed and not opened; a plot has none. */
function unbalanced(svg: string): string[] {
  const open: string[] = [];
  for (const [, close, name, self] of svg.matchAll(/<(\/?)([a-z]+)[^>]*?(\/?)>/g)) {
    if (self === "/") continue;
    if (close === "") open.push(name);
    else if (open.pop() !== name) return [name];
  }
  return open;
}

describe("frame", () => {
  it("ticks are round and cover the values", () => {
    expect(niceTicks(52.4, 78.5)).toEqual([50, 55, 60, 65, 70, 75, 80]);
    expect(niceTicks(0, 1)).toEqual([0, 0.2, 0.4, 0.6, 0.8, 1]);
    expect(niceTicks(-3, 12)).toEqual([-5, 0, 5, 10, 15]);
    expect(niceTicks(4, 4)).toEqual([4, 5]);
  });

  it("a scale maps the ends of its domain to those of its range", () => {
    const scale = linearScale([10, 20], [100, 0]);
    expect([scale(10), scale(15), scale(20)]).toEqual([100, 50, 0]);
  });

  it("text cannot end an element", () => {
    expect(escapeXml('a < b & "c" > d')).toBe("a &lt; b &amp; &quot;c&quot; &gt; d");
    expect(unbalanced(svgDocument({ title: "</svg><script>", width: 10, height: 10, content: [] }))).toEqual([]);
  });

  it("declares every colour for both themes", () => {
    const [light, dark] = svgDocument({ title: "t", width: 1, height: 1, content: [] }).split("@media");
    const names = (text: string) => [...text.matchAll(/--(\w+):#/g)].map(([, name]) => name);
    expect(names(light)).toEqual(names(dark));
    expect(names(light)).toContain("background");
  });
});

describe("lineChart", () => {
  const chart = lineChart({
    title: "T",
    xLabel: "iteration",
    yLabel: "%",
    curves: [
      { label: "one", points: [0, 1, 2].map((x) => ({ x, y: 10 * x, low: 10 * x - 2, high: 10 * x + 2 })) },
      {
        label: "two & three",
        points: [
          { x: 0, y: 5 },
          { x: 1, y: Number.NaN },
          { x: 2, y: 5 },
        ],
        dashed: true,
      },
    ],
    marks: [{ y: 25, label: "line" }],
  });

  it("draws each curve once and bands where they are known", () => {
    expect(chart.match(/<polyline/g)).toHaveLength(2);
    expect(chart.match(/<polygon/g)).toHaveLength(1);
    expect(chart).toContain("two &amp; three");
    expect(unbalanced(chart)).toEqual([]);
  });

  it("leaves out points that are not numbers", () => {
    expect(chart).not.toContain("NaN");
    expect(chart.match(/<circle/g)).toHaveLength(5);
  });

  it("stands without data", () => {
    expect(lineChart({ title: "T", xLabel: "", yLabel: "", curves: [] })).not.toMatch(/NaN|Infinity/);
  });
});

describe("forestPlot", () => {
  it("tells estimates apart from none, and draws no endless interval", () => {
    const plot = forestPlot({
      title: "T",
      xLabel: "points",
      rows: [
        { label: "clear", value: 5, low: 3, high: 7, note: "+5" },
        { label: "none", value: 1, low: -1, high: 3 },
        { label: "one seed", value: 2, low: Number.NEGATIVE_INFINITY, high: Number.POSITIVE_INFINITY },
      ],
    });
    const dots = [...plot.matchAll(/<circle[^>]*fill="([^"]+)"/g)].map(([, colour]) => colour);
    expect(dots).toEqual(["var(--s0)", "var(--muted)", "var(--muted)"]);
    expect(plot.match(/stroke-width="2"/g)).toHaveLength(2);
    expect(plot).not.toMatch(/NaN|Infinity/);
    expect(unbalanced(plot)).toEqual([]);
  });
});
