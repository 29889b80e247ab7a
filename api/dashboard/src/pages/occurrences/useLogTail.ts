import { useCallback, useEffect, useRef, useState } from "react";
import { request } from "../../api/client";
import type { LogRecord, Page } from "../../api/types";
import { useLogHints } from "../../live/live";

const PER_REQUEST = 500;
/** Looks again although no hint came. */
const SAFETY_INTERVAL = 10_000;

export interface LogTail {
  records: readonly LogRecord[];
  /** whether the first page is here */
  loaded: boolean;
  error: Error | undefined;
}

const NOTHING: LogTail = { records: [], loaded: false, error: undefined };

/**
 * The log of an occurrence so far, growing as it is written. Only what is new is fetched, one request at a time.
 *
 * @param final whether the occurrence is over, so that nothing more is to come.
 */
export function useLogTail(id: number, final: boolean): LogTail {
  const [tail, setTail] = useState(NOTHING);
  const last = useRef<LogRecord>(undefined);
  const pulling = useRef(false);
  const again = useRef(false);
  const gone = useRef<AbortController>(undefined);

  const pull = useCallback(async () => {
    again.current = true;
    if (pulling.current) return;
    pulling.current = true;
    const signal = gone.current?.signal;
    try {
      while (again.current && !signal?.aborted) {
        again.current = false;
        const after = last.current && `${last.current.attempt}:${last.current.seq}`;
        const query = { after, limit: PER_REQUEST };
        const page = await request<Page<LogRecord>>(`/occurrences/${id}/logs`, {
          query,
          ...(signal ? { signal } : {}),
        });
        if (signal?.aborted) return;
        last.current = page.items.at(-1) ?? last.current;
        if (page.items.length > 0 && page.next_cursor !== null) again.current = true;
        setTail((before) => ({
          records: page.items.length > 0 ? [...before.records, ...page.items] : before.records,
          loaded: true,
          error: undefined,
        }));
      }
    } catch (error) {
      if (!signal?.aborted) setTail((before) => ({ ...before, error: error as Error }));
    } finally {
      pulling.current = false;
    }
  }, [id]);

  useEffect(() => {
    gone.current = new AbortController();
    last.current = undefined;
    pulling.current = false;
    setTail(NOTHING);
    void pull();
    return () => gone.current?.abort();
  }, [pull]);

  useEffect(() => {
    void pull();
    if (final) return;
    const timer = setInterval(() => document.visibilityState === "visible" && void pull(), SAFETY_INTERVAL);
    return () => clearInterval(timer);
  }, [final, pull]);

  useLogHints(id, pull);
  return tail;
}
