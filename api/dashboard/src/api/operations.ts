import type { Failure, FieldError, JsonObject, Occurrence, State } from "./types";

/** How many occurrences of a type start within a time: in all, or for each value at `key` in their payloads. */
export interface RateLimit {
  type: string;
  count: number;
  /** seconds */
  per: number;
  /** dotted path into the payload; undefined for a limit of the whole type */
  key?: string | undefined;
}

export interface RateLimits {
  items: RateLimit[];
  by_key?: RateLimit[];
}

/** What live workers say that they serve under one pattern. */
export interface JobType {
  pattern: string;
  /** module and name of the function */
  name: string;
  doc: string;
  /** JSON Schema of the payload */
  schema: JsonObject | null;
  /** what of the schema the server leaves to the handler */
  unchecked: FieldError[];
  workers: number;
  queue: string;
}

/** An occurrence that failed for good and was neither requeued nor discarded. */
export interface DeadLetter extends Occurrence {
  error: Failure | null;
}

/** Which dead letters are meant; every part that is given has to hold. */
export interface DeadLetterFilter {
  job?: string | undefined;
  type?: string | undefined;
  search?: string | undefined;
  /** ISO 8601 */
  since?: string | undefined;
  until?: string | undefined;
}

/** What was done to dead letters in one go, and how many are left to do. */
export interface DeadLetterResult {
  requeued?: number;
  discarded?: number;
  /** counted to 10,000 */
  remaining: number;
  /** those that were dealt with */
  ids: number[];
  /** those that cannot be requeued, and why */
  refused?: { id: number; reason: string }[];
}

/** Runs of a job for fire times of the past. */
export interface Backfill {
  id: number;
  job_id: number;
  job_name: string;
  start_at: string;
  end_at: string;
  concurrency: "skip" | "queue" | "allow";
  max_concurrent: number;
  payload: JsonObject | null;
  state: "running" | "completed" | "cancelled";
  /** why it was cancelled */
  reason: string | null;
  /** fire times in all; null until they are counted */
  total: number | null;
  /** occurrences made so far */
  created: number;
  /** fire times passed over, because the job had an occurrence there */
  existing: number;
  counts: Partial<Record<State, number>>;
  created_at: string;
  finished_at: string | null;
}
