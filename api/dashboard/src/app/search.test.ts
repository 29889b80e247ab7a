import { describe, expect, it } from "vitest";
import { deadLetterFilter, jobFilter, occurrenceFilter, parseSearch, stringifySearch } from "./search";

describe("addresses", () => {
  it("hold filters in plain words", () => {
    const filter = { job: "nightly", state: ["failed", "timed_out"] };
    expect(stringifySearch(filter)).toBe("?job=nightly&state=failed&state=timed_out");
    expect(occurrenceFilter(parseSearch("?state=failed&state=timed_out&job=nightly"))).toEqual(filter);
  });

  it("keep a job's name that looks like a number a word", () =>
    expect(occurrenceFilter(parseSearch("?job=42"))).toEqual({ job: "42" }));
  it("lose what makes no sense", () => expect(occurrenceFilter({ state: "sleeping", cursor: "" })).toEqual({}));
  it("hold times that are times", () =>
    expect(deadLetterFilter(parseSearch("?since=2026-11-22T05:00:00.000Z&until=soon&search=printer"))).toEqual({
      since: "2026-11-22T05:00:00.000Z",
      search: "printer",
    }));
  it("say paused or not", () => {
    expect(jobFilter(parseSearch("?paused=false"))).toEqual({ paused: false });
    expect(jobFilter({ paused: true })).toEqual({ paused: true });
    expect(jobFilter({ paused: "maybe" })).toEqual({});
  });
});
