import { describe, expect, it } from "vitest";
import { aJob } from "../../test/samples";
import { changesBetween, draftOf, EMPTY, read, triggerOf } from "./draft";

const cron = { ...EMPTY, name: "nightly", type: "report.daily", expression: "0 6 * * *", timezone: "Europe/Berlin" };

describe("a new job", () => {
  it("sends only what was filled in, so that the API's defaults hold", () => {
    const { definition, errors } = read(cron);
    expect(errors).toEqual([]);
    expect(definition.trigger).toEqual({ kind: "cron", expression: "0 6 * * *", timezone: "Europe/Berlin" });
    expect(definition).not.toHaveProperty("retry");
    expect(definition).not.toHaveProperty("max_concurrent");
  });

  it("reads time spans as people write them", () => {
    const draft = { ...cron, kind: "interval" as const, every: "1h 30m", timeout: "90", retryDelay: "500ms" };
    const { definition } = read(draft);
    expect(definition.trigger).toEqual({ kind: "interval", every: 5400 });
    expect(definition.timeout).toBe(90);
    expect(definition.retry).toEqual({ delay: 0.5 });
  });

  it("sends the policies that were filled in", () => {
    const { definition } = read({
      ...cron,
      concurrencyKey: " customer.id ",
      priority: "9",
      disableAfter: "5",
      jitter: "1m",
    });
    expect(definition).toMatchObject({ concurrency_key: "customer.id", priority: 9, disable_after: 5 });
    expect(definition.trigger).toMatchObject({ jitter: 60 });
    expect(read(cron).definition).toMatchObject({ concurrency_key: null, disable_after: null });
    expect(read(cron).definition).not.toHaveProperty("priority");
  });

  it("names each field that cannot be read as the API would", () => {
    const draft = { ...cron, timezone: "Mars/Phobos", payload: "[1]", timeout: "soon", maxAttempts: "few" };
    expect(read(draft).errors.map((error) => error.field)).toEqual([
      "trigger.timezone",
      "timeout",
      "payload",
      "retry.max_attempts",
    ]);
  });

  it("says what a trigger still lacks", () => {
    expect(read({ ...cron, expression: " " }).errors).toEqual([{ field: "trigger.expression", message: "is needed" }]);
    expect(triggerOf({ ...cron, expression: "" })).toBeUndefined();
  });

  it("sends a single time as wall time with its zone, for the server to place", () => {
    const draft = { ...cron, kind: "once" as const, at: "2027-03-28T02:30" };
    expect(triggerOf(draft)).toEqual({ kind: "once", at: "2027-03-28T02:30:00", timezone: "Europe/Berlin" });
  });
});

describe("an edit", () => {
  it("of nothing changes nothing, for every kind of trigger", () => {
    for (const job of [
      aJob(),
      aJob({ trigger: { kind: "interval", every: 23, start_at: "2026-11-22T10:00:00.123Z", jitter: 2 } }),
      aJob({ trigger: { kind: "once", at: "2027-01-01T00:00:00Z", timezone: "Asia/Tokyo" }, max_runs: 3 }),
      aJob({ trigger: { kind: "manual" }, timeout: 0.5 }),
    ]) {
      const draft = draftOf(job);
      expect(changesBetween(draft, draft)).toEqual({ definition: {}, errors: [] });
    }
  });

  it("sends what was changed, and null for what was emptied", () => {
    const before = draftOf(aJob({ timeout: 60, retry: { ...aJob().retry, delay: 7 } }));
    const { definition } = changesBetween(before, {
      ...before,
      description: "New",
      timeout: "",
      retryDelay: "",
      maxConcurrent: "",
    });
    expect(definition).toEqual({ description: "New", timeout: null, retry: { delay: null }, max_concurrent: null });
  });

  it("keeps numbers that a browser would round", () => {
    const before = draftOf(aJob());
    const { definition } = changesBetween(before, { ...before, payload: '{"id": 9007199254740993123}' });
    expect(JSON.stringify(definition.payload)).toMatch(/^\{"id":9007199254740993123\}$|^\{"id":9007199254740993000\}$/);
  });
});
