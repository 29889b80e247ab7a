import { useSyncExternalStore } from "react";

/** A `Date` header tells whole seconds and comes late; a smaller difference than this is no difference. */
const TOLERANCE = 2_500;

let offset = 0;
let current = Date.now();
let timer: ReturnType<typeof setInterval> | undefined;
const listeners = new Set<() => void>();

/** Learn from a `Date` header how far this machine's clock is from the server's. */
export function noteServerTime(header: string | null): void {
  const server = header === null ? Number.NaN : Date.parse(header);
  if (Number.isNaN(server)) return;
  const difference = server - Date.now();
  offset = Math.abs(difference) > TOLERANCE ? difference : 0;
}

/** The server's time, as far as known: milliseconds since the epoch. */
export function serverNow(): number {
  return Date.now() + offset;
}

function subscribe(listener: () => void): () => void {
  listeners.add(listener);
  if (timer === undefined) {
    current = serverNow();
    timer = setInterval(() => {
      current = serverNow();
      for (const tell of listeners) tell();
    }, 1_000);
  }
  return () => {
    listeners.delete(listener);
    if (listeners.size === 0) {
      clearInterval(timer);
      timer = undefined;
    }
  };
}

/** The server's time to the second; the component renders again when `of` gives another text. One timer serves all. */
export function useTicking(of: (now: number) => string): string {
  return useSyncExternalStore(subscribe, () => of(current));
}
