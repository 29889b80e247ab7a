import { describe, expect, it } from "vitest";
import { duration, relative, seconds } from "./format";
import { parseSpan, spellSpan } from "./span";
import { knownZone, splitLocal, wallTime } from "./wall";

describe("durations", () => {
  it.each([
    [0, "0 ms"],
    [840, "840 ms"],
    [1_200, "1.2 s"],
    [9_999, "9.9 s"],
    [12_400, "12 s"],
    [200_000, "3 m 20 s"],
    [7_500_000, "2 h 5 m"],
    [86_400_000, "1 d"],
  ])("%d ms are said as %s", (ms, text) => expect(duration(ms)).toBe(text));

  it("of whole seconds have no fraction", () => expect(seconds(5)).toBe("5 s"));
});

describe("how long ago", () => {
  const now = Date.parse("2026-11-22T12:00:00Z");
  it.each([
    [0, "now"],
    [-12_000, "12 s ago"],
    [30_000, "in 30 s"],
    [-300_000, "5 m ago"],
    [3 * 86_400_000, "in 3 d"],
  ])("%d ms from now is %s", (distance, text) => expect(relative(now + distance, now)).toBe(text));
});

describe("time spans in fields", () => {
  it.each([
    ["90", 90],
    ["90s", 90],
    ["1h 30m", 5_400],
    ["0.5 s", 0.5],
    ["250ms", 0.25],
    ["2d", 172_800],
    ["", undefined],
    ["soon", undefined],
    ["5 parsecs", undefined],
  ])("%s are %s seconds", (text, value) => expect(parseSpan(text)).toBe(value));

  it("come back as they were", () => {
    for (const value of [0, 0.1, 1, 59, 60, 5_400, 86_399, 90_061, 604_800])
      expect(parseSpan(spellSpan(value))).toBe(value);
  });
});

describe("wall time", () => {
  it("is what a clock in the zone shows, on both sides of a change", () => {
    expect(wallTime("2026-03-29T00:59:59Z", "Europe/Berlin")).toBe("2026-03-29T01:59:59");
    expect(wallTime("2026-03-29T01:00:00Z", "Europe/Berlin")).toBe("2026-03-29T03:00:00");
  });

  it("from the server keeps its own day and offset", () => {
    expect(splitLocal("2026-03-29T03:00:00+02:00")).toEqual({
      day: "Sun, 29 Mar 2026",
      time: "03:00:00",
      offset: "+02:00",
    });
    expect(splitLocal("2026-03-29T01:00:00Z").offset).toBe("+00:00");
  });

  it("needs a zone that exists", () =>
    expect([knownZone("Europe/Berlin"), knownZone("Mars/Phobos"), knownZone("")]).toEqual([true, false, false]));
});
