import { describe, expect, it } from "vitest";
import { ago, count, interval, percent, points, short } from "./numbers.ts";

describe("numbers", () => {
  it("writes units and signs", () => {
    expect(percent(0.5274)).toBe("52.7 %");
    expect(percent(undefined)).toBe("–");
    expect(points(0.021)).toBe("+2.1 pp");
    expect(points(-0.021)).toBe("−2.1 pp");
    expect(interval([0.7, 0.755])).toBe("70.0–75.5 %");
    expect(count(1_000_000)).toBe("1,000,000");
  });

  it("keeps about three figures", () => {
    expect([0, 0.01234, 0.5, 1.2345, 12.345, 12345, -3.456].map(short)).toEqual([
      "0",
      "0.0123",
      "0.5",
      "1.23",
      "12.3",
      "12,345",
      "−3.46",
    ]);
    expect(short(4.2e-7)).toBe("4.2e-7");
    expect(short(-4.2e-7)).toBe("−4.2e-7");
    expect(short(null)).toBe("–");
    expect(short(Number.NaN)).toBe("–");
  });

  it("tells the age of an event", () => {
    const now = Date.parse("2026-01-10T12:00:00Z");
    expect(ago("2026-01-10T11:59:40Z", now)).toBe("just now");
    expect(ago("2026-01-10T11:55:00Z", now)).toBe("5 min ago");
    expect(ago("2026-01-10T09:00:00Z", now)).toBe("3 h ago");
    expect(ago("2026-01-01T09:00:00Z", now)).toBe("2026-01-01");
    expect(ago("never", now)).toBe("–");
  });
});
