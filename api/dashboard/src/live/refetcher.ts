import type { QueryClient, QueryKey } from "@tanstack/react-query";
import { isLasting } from "../api/client";

const GAP = 750;

/**
 * Turns hints into refetches: at once when it has been quiet, otherwise at most one round in `gap` milliseconds, never a second
 * request while the first is under way, and nothing while the page is hidden (it catches up when it is shown).
 */
export class Refetcher {
  readonly #client: QueryClient;
  readonly #gap: number;
  readonly #dirty = new Map<string, QueryKey>();
  #last = Number.NEGATIVE_INFINITY;
  #timer: ReturnType<typeof setTimeout> | undefined;

  constructor(client: QueryClient, gap = GAP) {
    this.#client = client;
    this.#gap = gap;
  }

  /** What was read under these keys, or under longer ones, is out of date. An empty key means everything. */
  mark(...keys: QueryKey[]): void {
    for (const key of keys) this.#dirty.set(JSON.stringify(key), key);
    this.#plan();
  }

  /** Forget what is planned. */
  stop(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    this.#dirty.clear();
  }

  /** The page is shown again: do what was deferred. */
  wake(): void {
    if (this.#dirty.size > 0) this.#plan();
  }

  #plan(): void {
    if (this.#timer !== undefined || document.visibilityState === "hidden") return;
    const wait = Math.max(0, this.#last + this.#gap - Date.now());
    this.#timer = setTimeout(() => this.#flush(), wait);
  }

  #flush(): void {
    this.#timer = undefined;
    this.#last = Date.now();
    const busy: QueryKey[] = [];
    for (const [name, queryKey] of this.#dirty) {
      this.#dirty.delete(name);
      if (this.#client.isFetching({ queryKey }) > 0) busy.push(queryKey);
      // The one under way may have read before the change; it ends first, then comes the next.
      void this.#client.invalidateQueries(
        { queryKey, predicate: ({ state }) => !isLasting(state.error) },
        { cancelRefetch: false },
      );
    }
    if (busy.length > 0) this.mark(...busy);
  }
}
