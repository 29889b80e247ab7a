import { describe, expect, it } from "vitest";
import { anOccurrence } from "../../test/samples";
import { stepsOf } from "./events";

const told = (occurrence: Parameters<typeof stepsOf>[0]) => stepsOf(occurrence).map((step) => step.title);

describe("the timeline of an occurrence", () => {
  it("tells every attempt with its worker and its error", () => {
    const steps = stepsOf(anOccurrence());
    expect(steps.map((step) => step.title)).toEqual([
      "Due",
      "Created",
      "Attempt 1 started",
      "Attempt 1 failed",
      "Attempt 2 started",
    ]);
    expect(steps[3]?.failure?.message).toBe("no route");
    expect(steps[4]?.note).toBe("on worker-2");
    expect(steps[4]?.after).toBe(6_000);
  });

  it("ends with the final state when the last attempt does not tell it", () => {
    const steps = told(anOccurrence({ state: "cancelled", finished_at: "2026-11-22T05:00:12Z" }));
    expect(steps.at(-1)).toBe("Cancelled");
  });

  it("tells the end once when the attempt tells it", () => {
    const occurrence = anOccurrence({ state: "succeeded", finished_at: "2026-11-22T05:00:12Z" });
    const last = occurrence.attempts[1];
    if (last) Object.assign(last, { state: "succeeded", finished_at: occurrence.finished_at });
    expect(told(occurrence).slice(-2)).toEqual(["Attempt 2 started", "Attempt 2 succeeded"]);
  });

  it("is short for what never ran", () => {
    expect(told(anOccurrence({ state: "skipped", attempt: 0, attempts: [] }))).toEqual(["Due", "Skipped"]);
  });

  it("of one that its handler skipped tells the attempt", () => {
    const skipped = anOccurrence({ state: "skipped", finished_at: "2026-11-22T05:00:12Z" });
    expect(told(skipped)).toContain("Attempt 2 started");
    expect(told(skipped).at(-1)).toBe("Skipped");
  });

  it("of one for a later time begins with its making", () => {
    const later = anOccurrence({ state: "scheduled", scheduled_for: "2026-11-22T06:00:00Z", attempt: 0, attempts: [] });
    expect(told(later)).toEqual(["Created", "Due"]);
  });

  it("says what a live one waits for", () => {
    const waits = (state: "waiting" | "pending" | "retrying") =>
      told(anOccurrence({ state, attempt: 0, attempts: [], retry_at: "2026-11-22T05:01:00Z" })).at(-1);
    expect([waits("waiting"), waits("pending"), waits("retrying")]).toEqual([
      "Waits for its turn",
      "Waits for a worker",
      "Attempt 1 is due",
    ]);
  });
});
