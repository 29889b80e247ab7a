import { afterEach, describe, expect, it, vi } from "vitest";
import { aWorker } from "../test/samples";
import { isLasting, Problem, request } from "./client";
import { parseJson } from "./json";
import { handlerOf, serves, unserved } from "./patterns";

function answering(body: string, status = 200): ReturnType<typeof vi.fn> {
  const fetch = vi.fn(async () => new Response(body, { status }));
  vi.stubGlobal("fetch", fetch);
  return fetch;
}

afterEach(() => vi.unstubAllGlobals());

async function problem(promise: Promise<unknown>): Promise<Problem> {
  const error = await promise.then(
    () => undefined,
    (reason: unknown) => reason,
  );
  expect(error).toBeInstanceOf(Problem);
  return error as Problem;
}

describe("a request", () => {
  it("repeats a parameter for each value and leaves out what is not given", async () => {
    const fetch = answering("{}");
    await request("/occurrences", { query: { state: ["failed", "missed"], job: "a b", type: undefined, cursor: "" } });
    expect(fetch.mock.calls[0]?.[0]).toBe("/api/v1/occurrences?state=failed&state=missed&job=a+b");
  });

  it("fails with the API's own words and fields", async () => {
    answering(
      JSON.stringify({ title: "Unprocessable", detail: "no", errors: [{ field: "name", message: "is taken" }] }),
      422,
    );
    const error = await problem(request("/jobs"));
    expect([error.status, error.title, error.message]).toEqual([422, "Unprocessable", "no"]);
    expect(error.errors).toEqual([{ field: "name", message: "is taken" }]);
    expect(isLasting(error)).toBe(true);
  });

  it("fails with what there is when a proxy answers instead of the API", async () => {
    answering("<h1>Bad gateway</h1>", 502);
    const error = await problem(request("/jobs"));
    expect(error.title).toContain("502");
    expect(isLasting(error)).toBe(false);
  });

  it("says so when nothing answers", async () => {
    vi.stubGlobal("fetch", async () => Promise.reject(new TypeError("Failed to fetch")));
    expect((await problem(request("/jobs"))).status).toBe(0);
  });

  it("takes an empty answer", async () => {
    vi.stubGlobal("fetch", async () => new Response(null, { status: 204 }));
    expect(await request("/jobs/1", { method: "DELETE" })).toBeUndefined();
  });
});

describe("JSON", () => {
  it("of ordinary values is parsed as always", () => {
    expect(parseJson('{"a": [1, 2.5, "3", null, true]}')).toEqual({ a: [1, 2.5, "3", null, true] });
  });
});

describe("patterns", () => {
  it.each([
    ["sendemail.*", "sendemail.welcome", true],
    ["sendemail.*", "sendemail", false],
    ["sendemail.*", "sendemail.a.b", false],
    ["report.#", "report", true],
    ["report.#", "report.a.b", true],
    ["#.daily", "report.a.daily", true],
    ["#", "anything.at.all", true],
    ["a.b", "a.b", true],
    ["a.b", "a.c", false],
  ])("%s and %s: %s", (pattern, type, expected) => expect(serves(pattern, type)).toBe(expected));

  it("that are narrow say best what a type takes", () => {
    const of = (pattern: string) => ({
      pattern,
      name: "",
      doc: "",
      schema: null,
      unchecked: [],
      workers: 1,
      queue: "",
    });
    const types = ["#", "mail.#", "mail.*", "mail.welcome", "report.*"].map(of);
    expect(handlerOf("mail.welcome", types)?.pattern).toBe("mail.welcome");
    expect(handlerOf("mail.digest", types)?.pattern).toBe("mail.*");
    expect(handlerOf("mail.a.b", types)?.pattern).toBe("mail.#");
    expect(handlerOf("other", types.slice(1))).toBeUndefined();
  });

  it("of workers that are gone serve nothing", () => {
    const workers = [aWorker(["a.*"]), aWorker(["b.*"], { state: "lost" })];
    expect(unserved(["a.x", "b.x", "b.x"], workers)).toEqual(["b.x"]);
  });
});
