import { request } from "./client";
import type { Backfill, DeadLetterFilter, DeadLetterResult, RateLimit } from "./operations";
import type { Concurrency, Job, JobDefinition, JsonObject, Occurrence, Worker } from "./types";

/** How a job is triggered; what is left out is the job's own, and now. */
export interface Trigger {
  payload?: JsonObject | undefined;
  /** seconds from now */
  delay?: number | undefined;
  /** ISO 8601 */
  at?: string | undefined;
  priority?: number | undefined;
}

/** Which dead letters: these, or all that match. */
export type DeadLetterChoice = { ids: readonly number[] } | { filter: DeadLetterFilter };

/** What requeued ones run with, instead of what they had. */
export type PayloadChange = { payload: JsonObject } | { payload_patch: JsonObject } | Record<string, never>;

/** Runs of a job for the fire times from `start_at` to `end_at`, both of them in it; wall time is that of the job's zone. */
export interface BackfillRequest {
  start_at: string;
  end_at: string;
  concurrency?: Concurrency | undefined;
  max_concurrent?: number | undefined;
  /** instead of the job's */
  payload?: JsonObject | undefined;
}

/** A key for one press of a button, so that a repeated request starts nothing twice. Works without a secure context too. */
function onePress(): string {
  return Array.from(crypto.getRandomValues(new Uint32Array(4)), (part) => part.toString(16).padStart(8, "0")).join("");
}

/** Dead letters in one request: so that a press shows how far it is. */
const AT_ONCE = 200;

const job = (id: number) => `/jobs/${id}`;
const occurrence = (id: number) => `/occurrences/${id}`;

const rateLimit = (type: string, key: string | undefined) =>
  `/rate-limits/${encodeURIComponent(type)}${key === undefined ? "" : "/by-key"}`;

/** Everything that is changed. */
export const commands = {
  createJob: (definition: Partial<JobDefinition>) => request<Job>("/jobs", { method: "POST", body: definition }),

  /** Refused when the job is no longer at `version`: another request changed it meanwhile. */
  changeJob: (id: number, version: number, changes: Partial<JobDefinition>) =>
    request<Job>(job(id), { method: "PATCH", body: { ...changes, version } }),

  deleteJob: (id: number) => request<void>(job(id), { method: "DELETE" }),

  triggerJob: (id: number, trigger: Trigger = {}) =>
    request<Occurrence>(`${job(id)}/trigger`, {
      method: "POST",
      body: trigger,
      headers: { "idempotency-key": onePress() },
    }),

  pauseJob: (id: number, reason: string) =>
    request<Job>(`${job(id)}/pause`, { method: "POST", body: reason === "" ? {} : { reason } }),

  resumeJob: (id: number) => request<Job>(`${job(id)}/resume`, { method: "POST", body: {} }),

  cancel: (id: number, reason: string) =>
    request<Occurrence>(`${occurrence(id)}/cancel`, { method: "POST", body: reason === "" ? {} : { reason } }),

  requeue: (id: number, payload?: JsonObject) =>
    request<Occurrence>(`${occurrence(id)}/requeue`, {
      method: "POST",
      body: payload === undefined ? {} : { payload },
    }),

  /**
   * At most as many as the server does in one go: ask again while some remain. With `queue` those wait in the concurrency queue that their jobs
   * would skip.
   */
  requeueDead: (choice: DeadLetterChoice, change: PayloadChange = {}, queue = false) =>
    request<DeadLetterResult>("/dead-letters/requeue", {
      method: "POST",
      body: { ...choice, ...change, queue, limit: AT_ONCE },
    }),

  discardDead: (choice: DeadLetterChoice, reason: string) =>
    request<DeadLetterResult>("/dead-letters/discard", {
      method: "POST",
      body: { ...choice, ...(reason === "" ? {} : { reason }), limit: AT_ONCE },
    }),

  /** How many dead letters are meant; nothing is changed. */
  countDead: async (choice: DeadLetterChoice) => {
    const found = await request<DeadLetterResult>("/dead-letters/discard", {
      method: "POST",
      body: { ...choice, dry_run: true, limit: 1 },
    });
    return (found.discarded ?? 0) + found.remaining;
  },

  startBackfill: (id: number, backfill: BackfillRequest) =>
    request<Backfill>(`${job(id)}/backfills`, { method: "POST", body: backfill }),

  /** Begins nothing more of it; `running` cancels also those of its occurrences that run. */
  cancelBackfill: (id: number, running: boolean, reason: string) =>
    request<Backfill>(`/backfills/${id}/cancel`, {
      method: "POST",
      body: { running, ...(reason === "" ? {} : { reason }) },
    }),

  putRateLimit: ({ type, ...limit }: RateLimit) =>
    request<RateLimit>(rateLimit(type, limit.key), { method: "PUT", body: limit }),

  deleteRateLimit: ({ type, key }: RateLimit) => request<void>(rateLimit(type, key), { method: "DELETE" }),

  drainWorker: (id: string) => request<Worker>(`/workers/${id}/drain`, { method: "POST" }),
};
