import { keepPreviousData, queryOptions } from "@tanstack/react-query";
import { isLasting, request } from "./client";
import type { Backfill, DeadLetter, DeadLetterFilter, JobType, RateLimit, RateLimits } from "./operations";
import type { FireTimes, Job, Occurrence, OccurrenceDetail, Overview, Page, State, Trigger, Worker } from "./types";

export interface JobFilter {
  search?: string | undefined;
  type?: string | undefined;
  tag?: string | undefined;
  paused?: boolean | undefined;
  served?: boolean | undefined;
  cursor?: string | undefined;
}

export interface OccurrenceFilter {
  job?: string | undefined;
  /** a type, or a pattern */
  type?: string | undefined;
  /** ISO 8601: ended at this time or later, and before that */
  since?: string | undefined;
  until?: string | undefined;
  /** a part of the error */
  error?: string | undefined;
  worker?: string | undefined;
  backfill?: string | undefined;
  state?: readonly State[] | undefined;
  cursor?: string | undefined;
  limit?: number | undefined;
}

export interface DeadLetterPageFilter extends DeadLetterFilter {
  cursor?: string | undefined;
}

const JOBS_PER_PAGE = 100;
const OCCURRENCES_PER_PAGE = 50;
const BACKFILLS_SHOWN = 8;
/** The most that the server tells at once. */
const FIRES_COUNTED = 1_000;
/** What is refetched although no hint came: hints are lost while Redis is away. */
const SAFETY_INTERVAL = every(30_000);
const HEARTBEAT_INTERVAL = every(5_000);
/** The servers share one overview among all pages for a second or more: what a hint fetches may be the one before the change. */
const OVERVIEW_INTERVAL = every(3_000);

/** An interval that ends where asking again is of no use. */
function every(interval: number) {
  return (query: { state: { error: Error | null } }) => (isLasting(query.state.error) ? (false as const) : interval);
}

/** Everything that is read, with the keys by which live hints find it. */
export const queries = {
  overview: () =>
    queryOptions({
      queryKey: ["overview"],
      queryFn: ({ signal }) => request<Overview>("/overview", { signal }),
      refetchInterval: OVERVIEW_INTERVAL,
    }),

  jobs: (filter: JobFilter) =>
    queryOptions({
      queryKey: ["jobs", filter],
      queryFn: ({ signal }) => request<Page<Job>>("/jobs", { query: { limit: JOBS_PER_PAGE, ...filter }, signal }),
      placeholderData: keepPreviousData,
      refetchInterval: SAFETY_INTERVAL,
    }),

  job: (ref: string) =>
    queryOptions({
      queryKey: ["job", ref],
      queryFn: ({ signal }) => request<Job>(`/jobs/${encodeURIComponent(ref)}`, { signal }),
      refetchInterval: SAFETY_INTERVAL,
    }),

  fireTimes: (ref: string, count: number) =>
    queryOptions({
      queryKey: ["job", ref, "next", count],
      queryFn: ({ signal }) =>
        request<FireTimes>(`/jobs/${encodeURIComponent(ref)}/next`, { query: { count }, signal }),
      refetchInterval: SAFETY_INTERVAL,
    }),

  preview: (trigger: Trigger, count: number) =>
    queryOptions({
      queryKey: ["preview", trigger, count],
      queryFn: ({ signal }) =>
        request<FireTimes>("/schedules/preview", { method: "POST", body: { trigger, count }, signal }),
      placeholderData: keepPreviousData,
      staleTime: 10_000,
      gcTime: 60_000,
      retry: false,
    }),

  occurrences: (filter: OccurrenceFilter) =>
    queryOptions({
      queryKey: ["occurrences", filter],
      queryFn: ({ signal }) =>
        request<Page<Occurrence>>("/occurrences", { query: { limit: OCCURRENCES_PER_PAGE, ...filter }, signal }),
      placeholderData: keepPreviousData,
      refetchInterval: SAFETY_INTERVAL,
    }),

  occurrence: (id: string) =>
    queryOptions({
      queryKey: ["occurrence", id],
      queryFn: ({ signal }) => request<OccurrenceDetail>(`/occurrences/${id}`, { signal }),
      refetchInterval: SAFETY_INTERVAL,
    }),

  workers: () =>
    queryOptions({
      queryKey: ["workers"],
      queryFn: ({ signal }) => request<{ items: Worker[] }>("/workers", { signal }),
      refetchInterval: HEARTBEAT_INTERVAL,
    }),

  types: () =>
    queryOptions({
      queryKey: ["types"],
      queryFn: ({ signal }) => request<{ items: JobType[] }>("/types", { signal }),
      staleTime: 5_000,
      refetchInterval: SAFETY_INTERVAL,
    }),

  deadLetters: (filter: DeadLetterPageFilter) =>
    queryOptions({
      queryKey: ["dead-letters", filter],
      queryFn: ({ signal }) =>
        request<Page<DeadLetter>>("/dead-letters", { query: { limit: OCCURRENCES_PER_PAGE, ...filter }, signal }),
      placeholderData: keepPreviousData,
      refetchInterval: SAFETY_INTERVAL,
    }),

  backfills: (job: string) =>
    queryOptions({
      queryKey: ["backfills", job],
      queryFn: ({ signal }) =>
        request<Page<Backfill>>(`/jobs/${encodeURIComponent(job)}/backfills`, {
          query: { limit: BACKFILLS_SHOWN },
          signal,
        }),
      refetchInterval: SAFETY_INTERVAL,
    }),

  rateLimits: () =>
    queryOptions({
      queryKey: ["rate-limits"],
      queryFn: ({ signal }) => request<RateLimits>("/rate-limits", { signal }),
      select: ({ items, by_key: byKey = [] }): RateLimit[] =>
        [...items, ...byKey].sort((one, other) => one.type.localeCompare(other.type)),
      refetchInterval: SAFETY_INTERVAL,
    }),

  /** How often a trigger fires from `start` to `end`, both of them in it, as far as one answer tells; wall time is the trigger's. */
  fireCount: (trigger: Trigger, start: string, end: string) =>
    queryOptions({
      queryKey: ["preview", trigger, start, end],
      queryFn: async ({ signal }) => {
        const body = { trigger, after: justBefore(start), count: FIRES_COUNTED };
        const { fire_times: times } = await request<FireTimes>("/schedules/preview", { method: "POST", body, signal });
        const within = times.filter(({ utc, local }) =>
          end.endsWith("Z") ? Date.parse(utc) <= Date.parse(end) : local.slice(0, end.length) <= end,
        );
        return { within, more: within.length === FIRES_COUNTED };
      },
      staleTime: 60_000,
      gcTime: 60_000,
      retry: false,
    }),
};

/** The server tells fire times after a moment; asked for a second earlier, it tells that moment's too. */
function justBefore(start: string): string {
  const instant = start.endsWith("Z");
  const before = new Date(Date.parse(instant ? start : `${start}Z`) - 1_000).toISOString();
  return instant ? before : before.slice(0, 19);
}
