import { describe, expect, it } from "vitest";
import type { LogRecord } from "../../api/types";
import { leftOut, piecesOf, shownOf } from "./logFilter";

function record(seq: number, level: string, message: string, fields: LogRecord["fields"] = null): LogRecord {
  return { attempt: 1, seq, at: "2026-11-22T05:00:00Z", level, message, fields };
}

const LOG = [
  record(1, "debug", "begins"),
  record(2, "INFO", "to Ann", { rows: 7 }),
  record(3, "warning", "3,000 log records are left out here", { left_out: 3_000 }),
  record(4, "notice", "of the user's own"),
  record(5, "error", "refused", { to: "ann" }),
];
const seqs = (filter: { level?: string; text?: string }) =>
  shownOf(LOG, { level: "", text: "", ...filter }).map(({ seq }) => seq);

describe("a log", () => {
  it("is shown from a level on", () => {
    expect(seqs({})).toEqual([1, 2, 3, 4, 5]);
    expect(seqs({ level: "info" })).toEqual([2, 3, 4, 5]);
    expect(seqs({ level: "error" })).toEqual([3, 4, 5]);
  });

  it("is searched with its fields, and keeps the place of what is left out", () => {
    expect(seqs({ text: "ANN" })).toEqual([2, 3, 5]);
    expect(seqs({ text: "rows=7" })).toEqual([2, 3]);
    expect(seqs({ text: "ann", level: "error" })).toEqual([3, 5]);
  });

  it("tells how much is left out", () => {
    expect(LOG.map(leftOut)).toEqual([undefined, undefined, 3_000, undefined, undefined]);
  });

  it("shows what was found", () => {
    expect(piecesOf("Ann and ann", "ann")).toEqual(["", "Ann", " and ", "ann", ""]);
    expect(piecesOf("no", "ann")).toEqual(["no"]);
    expect(piecesOf("İ ann", "ann")).toEqual(["İ ann"]);
  });
});
