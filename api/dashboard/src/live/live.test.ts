import { QueryClient, QueryObserver } from "@tanstack/react-query";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { Problem } from "../api/client";
import { affected, type Changed, Sequence } from "./changes";
import { noteAnswer } from "./freshness";
import { Live } from "./live";
import { Refetcher } from "./refetcher";

const nothing: Changed = { seq: 1, jobs: false, occurrences: [], workers: false, overflow: false };
const names = (change: Partial<Changed>) => affected({ ...nothing, ...change }).map((key) => key.join("/"));

describe("a hint", () => {
  it("about one job leaves the other jobs' pages alone", () => {
    expect(names({ jobs: [4] })).toEqual(["jobs", "overview", "job/4"]);
  });

  it("about occurrences names their own pages and all lists", () => {
    expect(names({ occurrences: [7, 8] })).toEqual(
      expect.arrayContaining(["occurrences", "overview", "occurrence/7", "occurrence/8"]),
    );
  });

  it("about too many occurrences means any of them", () => expect(names({ overflow: true })).toContain("occurrence"));
  it("about workers or the term reaches the overview", () => {
    expect(names({ workers: true })).toEqual(["workers", "types", "jobs", "job", "overview"]);
    expect(names({ dispatcher: true })).toContain("overview");
  });
  it("about nothing asks for nothing", () => expect(names({})).toEqual([]));
});

describe("the sequence of hints", () => {
  it("tells a gap, also after the number that the greeting gave", () => {
    const sequence = new Sequence();
    sequence.begin(4);
    expect([5, 6, 8, 9].map((seq) => sequence.gap(seq))).toEqual([false, false, true, false]);
    sequence.begin(9);
    expect(sequence.gap(11)).toBe(true);
    sequence.begin(undefined);
    expect(sequence.gap(100)).toBe(false);
  });
});

/** A query that a component looks at, with a counter of its fetches. */
function watched(client: QueryClient, key: unknown[], fetch: () => Promise<unknown> = async () => 1) {
  const queryFn = vi.fn(fetch);
  const stop = new QueryObserver(client, { queryKey: key, queryFn, retry: false }).subscribe(() => undefined);
  return { queryFn, stop };
}

describe("refetching", () => {
  let client: QueryClient;
  beforeEach(() => {
    vi.useFakeTimers();
    client = new QueryClient();
  });
  afterEach(() => {
    client.clear();
    vi.useRealTimers();
  });

  it("answers the first hint at once and a storm of them once in a while", async () => {
    const { queryFn } = watched(client, ["jobs", {}]);
    await vi.advanceTimersByTimeAsync(2_000);
    const refetcher = new Refetcher(client, 1_000);
    refetcher.mark(["jobs"]);
    await vi.advanceTimersByTimeAsync(10);
    expect(queryFn).toHaveBeenCalledTimes(2);
    for (let hint = 0; hint < 40; hint++) {
      refetcher.mark(["jobs"]);
      await vi.advanceTimersByTimeAsync(50);
    }
    expect(queryFn.mock.calls.length).toBeLessThanOrEqual(5);
    await vi.advanceTimersByTimeAsync(2_000);
    expect(queryFn.mock.calls.length).toBeLessThanOrEqual(6);
  });

  it("asks again after a fetch that was under way when the hint came", async () => {
    const { queryFn } = watched(client, ["jobs"], () => new Promise((resolve) => setTimeout(() => resolve(1), 500)));
    const refetcher = new Refetcher(client, 200);
    refetcher.mark(["jobs"]);
    await vi.advanceTimersByTimeAsync(499);
    expect(queryFn).toHaveBeenCalledTimes(1);
    await vi.advanceTimersByTimeAsync(1_000);
    expect(queryFn).toHaveBeenCalledTimes(2);
  });

  it("does not repeat a question whose answer is no", async () => {
    const { queryFn } = watched(client, ["job", "9"], () => Promise.reject(new Problem(404, "Not Found", "")));
    await vi.advanceTimersByTimeAsync(10);
    new Refetcher(client, 100).mark(["job", "9"]);
    await vi.advanceTimersByTimeAsync(1_000);
    expect(queryFn).toHaveBeenCalledTimes(1);
  });
});

/** A socket that a test speaks for. */
class FakeSocket {
  connected = false;
  readonly sent: unknown[][] = [];
  readonly #on = new Map<string, (data?: unknown) => void>();
  on(event: string, listener: (data?: unknown) => void): this {
    this.#on.set(event, listener);
    return this;
  }
  emit(...message: unknown[]): this {
    this.sent.push(message);
    return this;
  }
  say(event: string, data?: unknown): void {
    if (event === "connect") this.connected = true;
    if (event === "disconnect") this.connected = false;
    this.#on.get(event)?.(data);
  }
}

describe("the connection", () => {
  let client: QueryClient;
  let socket: FakeSocket;
  let live: Live;
  beforeEach(() => {
    vi.useFakeTimers();
    client = new QueryClient();
    socket = new FakeSocket();
    live = new Live(client, socket as never);
    noteAnswer();
  });
  afterEach(() => {
    client.clear();
    vi.clearAllTimers();
    vi.useRealTimers();
  });

  it("polls every 10 s while it is away, and says since when nothing is known", async () => {
    const { queryFn } = watched(client, ["overview"], async () => {
      noteAnswer();
      return 1;
    });
    socket.say("connect");
    await vi.advanceTimersByTimeAsync(1_000);
    expect(live.state.kind).toBe("live");
    const before = queryFn.mock.calls.length;
    socket.say("disconnect");
    expect(live.state.kind).toBe("reconnecting");
    await vi.advanceTimersByTimeAsync(30_000);
    expect(queryFn.mock.calls.length - before).toBe(3);
    expect(live.state.kind).toBe("reconnecting");
    queryFn.mockImplementation(async () => Promise.reject(new Error("away")));
    await vi.advanceTimersByTimeAsync(30_000);
    expect(live.state.kind).toBe("stale");
  });

  it("asks for everything when a hint was lost, and when it connects anew", async () => {
    const { queryFn } = watched(client, ["workers"]);
    socket.say("connect");
    socket.say("hello", { version: "1", seq: 3 });
    await vi.advanceTimersByTimeAsync(2_000);
    const connected = queryFn.mock.calls.length;
    socket.say("changed", { ...nothing, seq: 4 });
    await vi.advanceTimersByTimeAsync(2_000);
    expect(queryFn.mock.calls.length).toBe(connected);
    socket.say("changed", { ...nothing, seq: 6 });
    await vi.advanceTimersByTimeAsync(2_000);
    expect(queryFn.mock.calls.length).toBe(connected + 1);
    socket.say("disconnect");
    socket.say("connect");
    await vi.advanceTimersByTimeAsync(2_000);
    expect(queryFn.mock.calls.length).toBe(connected + 2);
  });

  it("watches an occurrence's log for as long as a page looks, also over a new connection", () => {
    const listener = vi.fn();
    const stop = live.watch(7, listener);
    socket.say("connect");
    expect(socket.sent).toContainEqual(["watch", { occurrence: 7 }]);
    listener.mockClear();
    socket.say("logs", { occurrence: 7, last_seq: null });
    socket.say("logs", { occurrence: 8, last_seq: null });
    expect(listener).toHaveBeenCalledTimes(1);
    stop();
    expect(socket.sent.at(-1)).toEqual(["unwatch", { occurrence: 7 }]);
  });

  it("notices that the server was updated", () => {
    socket.say("hello", { version: "1.0" });
    expect(live.outdated).toBe(false);
    socket.say("hello", { version: "1.1" });
    expect(live.outdated).toBe(true);
  });
});
