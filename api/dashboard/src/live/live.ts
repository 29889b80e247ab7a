import type { QueryClient } from "@tanstack/react-query";
import { createContext, useContext, useEffect, useSyncExternalStore } from "react";
import { io, type Socket } from "socket.io-client";
import { isLasting } from "../api/client";
import { BASE_PATH } from "../app/basePath";
import { affected, type Changed, Sequence } from "./changes";
import { lastAnswer } from "./freshness";
import { Refetcher } from "./refetcher";

const POLL = 10_000;
/** Without an answer for this long, the page says that it is stale. */
const STALE_AFTER = 15_000;

/** The server keeps what it counted for the overview about this long. */
const COUNTS_LAST = 1_200;

export type LiveState =
  | { kind: "connecting" }
  | { kind: "live" }
  | { kind: "reconnecting" }
  | { kind: "stale"; since: number };

interface Hello {
  version?: string;
  /** of the last hint before this connection */
  seq?: number;
}

interface LogHint {
  occurrence: number;
}

/** The connection that makes the page live: hints over socket.io, polling while there is none. */
export class Live {
  readonly #client: QueryClient;
  readonly #refetcher: Refetcher;
  readonly #socket: Socket;
  readonly #sequence = new Sequence();
  readonly #listeners = new Set<() => void>();
  readonly #watched = new Map<number, Set<() => void>>();
  #state: LiveState = { kind: "connecting" };
  #looking: ReturnType<typeof setTimeout> | undefined;
  #version: string | undefined;
  #outdated = false;

  constructor(
    client: QueryClient,
    socket: Socket = io({ path: `${BASE_PATH}/socket.io`, transports: ["websocket"], reconnectionDelayMax: 5_000 }),
  ) {
    this.#client = client;
    this.#refetcher = new Refetcher(client);
    this.#socket = socket;
    socket.on("connect", () => this.#connected());
    socket.on("disconnect", () => this.#set({ kind: "reconnecting" }));
    socket.on("hello", (hello: Hello) => this.#greeted(hello));
    socket.on("changed", (change: Changed) => {
      this.#refetcher.mark(...(this.#sequence.gap(change.seq) ? [[]] : affected(change)));
      this.#lookAgain();
    });
    socket.on("logs", (hint: LogHint) => {
      for (const tell of this.#watched.get(hint.occurrence) ?? []) tell();
    });
    setInterval(() => this.#poll(), POLL);
    setInterval(() => this.#age(), 1_000);
    document.addEventListener("visibilitychange", () => this.#refetcher.wake());
  }

  get state(): LiveState {
    return this.#state;
  }

  /** Whether the server has been updated since the page was loaded. */
  get outdated(): boolean {
    return this.#outdated;
  }

  subscribe = (listener: () => void): (() => void) => {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  };

  /** Call `listener` when an occurrence has new log records. Returns the way to stop that. */
  watch(occurrence: number, listener: () => void): () => void {
    const listeners = this.#watched.get(occurrence) ?? new Set();
    listeners.add(listener);
    if (listeners.size === 1) {
      this.#watched.set(occurrence, listeners);
      if (this.#socket.connected) this.#socket.emit("watch", { occurrence });
    }
    return () => {
      listeners.delete(listener);
      if (listeners.size > 0) return;
      this.#watched.delete(occurrence);
      if (this.#socket.connected) this.#socket.emit("unwatch", { occurrence });
    };
  }

  #connected(): void {
    this.#set({ kind: "live" });
    this.#sequence.begin(undefined);
    for (const [occurrence, listeners] of this.#watched) {
      this.#socket.emit("watch", { occurrence });
      for (const tell of listeners) tell();
    }
    // Whatever was fetched before this may have changed unheard.
    this.#refetcher.mark([]);
  }

  #greeted(hello: Hello): void {
    this.#sequence.begin(hello.seq);
    this.#version ??= hello.version;
    this.#outdated = this.#version !== hello.version;
    this.#tell();
  }

  /** The overview's counts may be older than the hint: ask for them once more when they cannot be. */
  #lookAgain(): void {
    this.#looking ??= setTimeout(() => {
      this.#looking = undefined;
      this.#refetcher.mark(["overview"]);
    }, COUNTS_LAST);
  }

  #poll(): void {
    if (this.#socket.connected || document.visibilityState === "hidden") return;
    void this.#client.invalidateQueries(
      { predicate: ({ state }) => !isLasting(state.error) },
      { cancelRefetch: false },
    );
    for (const listeners of this.#watched.values()) for (const tell of listeners) tell();
  }

  #age(): void {
    if (this.#socket.connected) return;
    const since = lastAnswer();
    const stale = Date.now() - since > STALE_AFTER;
    if (stale && (this.#state.kind !== "stale" || this.#state.since !== since)) this.#set({ kind: "stale", since });
    else if (!stale && this.#state.kind === "stale") this.#set({ kind: "reconnecting" });
  }

  #set(state: LiveState): void {
    this.#state = state;
    this.#tell();
  }

  #tell(): void {
    for (const tell of this.#listeners) tell();
  }
}

const LiveContext = createContext<Live | null>(null);
export const LiveProvider = LiveContext.Provider;

/** The page's live connection. */
export function useLive(): Live {
  const live = useContext(LiveContext);
  if (!live) throw new Error("no LiveProvider above");
  return live;
}

/** How live the page is now. */
export function useLiveState(): LiveState {
  const live = useLive();
  return useSyncExternalStore(live.subscribe, () => live.state);
}

/** Whether the page is older than the server. */
export function useOutdated(): boolean {
  const live = useLive();
  return useSyncExternalStore(live.subscribe, () => live.outdated);
}

/** Call `listener`, which must be stable, when the occurrence has new log records. */
export function useLogHints(occurrence: number, listener: () => void): void {
  const live = useLive();
  useEffect(() => live.watch(occurrence, listener), [live, occurrence, listener]);
}
