/** The REST API's resources, as docs/api.md and /openapi.json describe them. Instants are ISO 8601 in UTC. */

export type State =
  | "scheduled"
  | "waiting"
  | "pending"
  | "running"
  | "cancelling"
  | "retrying"
  | "succeeded"
  | "failed"
  | "timed_out"
  | "cancelled"
  | "skipped"
  | "missed";

export type JsonValue = string | number | boolean | null | JsonValue[] | { [key: string]: JsonValue };
export type JsonObject = { [key: string]: JsonValue };

export interface CronTrigger {
  kind: "cron";
  expression: string;
  timezone?: string;
  start_at?: string | null;
  end_at?: string | null;
  /** seconds */
  jitter?: number;
}

export interface IntervalTrigger {
  kind: "interval";
  /** seconds */
  every: number;
  start_at?: string | null;
  end_at?: string | null;
  jitter?: number;
}

export interface OnceTrigger {
  kind: "once";
  /** ISO 8601; without an offset it is wall time in `timezone` */
  at: string;
  timezone?: string | null;
  jitter?: number;
}

export interface ManualTrigger {
  kind: "manual";
}

export type Trigger = CronTrigger | IntervalTrigger | OnceTrigger | ManualTrigger;

export type Concurrency = "skip" | "queue" | "replace" | "allow";
export type CatchUp = "latest" | "all" | "none";

export interface RetryPolicy {
  max_attempts: number;
  /** seconds before the second attempt */
  delay: number;
  factor: number;
  /** seconds, at most */
  max_delay: number;
  max_lost: number;
}

export interface LastOccurrence {
  id: number;
  state: State;
  scheduled_for: string;
  finished_at: string | null;
}

/** What a user decides about a job. */
export interface JobDefinition {
  name: string;
  type: string;
  description: string;
  tags: string[];
  payload: JsonObject;
  trigger: Trigger;
  concurrency: Concurrency;
  max_concurrent: number;
  max_waiting: number;
  catch_up: CatchUp;
  /** seconds */
  catch_up_window: number;
  /** seconds */
  timeout: number | null;
  retry: RetryPolicy;
  max_runs: number | null;
  /** dotted path into the payload */
  concurrency_key: string | null;
  /** 0 to 9, higher first */
  priority: number;
  /** failures in a row until the job is paused */
  disable_after: number | null;
}

export interface Job extends JobDefinition {
  id: number;
  trigger_description: string;
  runs: number;
  /** in a row, since the last success */
  failures: number;
  version: number;
  paused: boolean;
  pause_reason: string | null;
  next_fire_at: string | null;
  last_fire_at: string | null;
  created_at: string;
  updated_at: string;
  last_occurrence: LastOccurrence | null;
  /** whether a live worker serves its type */
  served?: boolean;
  /** `code` declares it beside its handler, `import` brought it from `import_source` */
  source?: "api" | "code" | "import";
  /** what it was imported from, and is again with the next import */
  import_source?: string | null;
}

export interface Failure {
  type: string;
  message: string;
  traceback?: string | null;
}

/** The type and the first line of an error, in lists. */
export interface ErrorSummary {
  type: string;
  message: string;
}

/** What keeps a pending occurrence. */
export interface WaitsFor {
  kind:
    | "rate_limit"
    | "key_limit"
    | "no_worker"
    | "busy_workers"
    | "publish_window"
    | "jitter"
    | "dispatcher"
    | "worker";
  /** goes on after "waits for" */
  text: string;
  until: string | null;
}

export interface Progress {
  /** 0 to 1 */
  fraction: number | null;
  message: string | null;
}

export interface Occurrence {
  id: number;
  job_id: number;
  job_name: string;
  job_version: number;
  type: string;
  origin: "schedule" | "manual" | "requeue" | "backfill";
  scheduled_for: string;
  state: State;
  reason: string | null;
  blocker_id: number | null;
  missed_count: number | null;
  missed_until: string | null;
  attempt: number;
  max_attempts: number;
  lost_count: number;
  worker_id: string | null;
  worker_name: string | null;
  progress: Progress | null;
  created_at: string;
  started_at: string | null;
  finished_at: string | null;
  /** seconds */
  duration: number | null;
  retry_at: string | null;
  requeue_of: number | null;
  concurrency_key: string;
  priority: number;
  backfill_id: number | null;
  /** how one that failed for good was dealt with */
  resolution: "requeued" | "discarded" | null;
  error: ErrorSummary | null;
}

export interface Attempt {
  attempt: number;
  state: string;
  worker_id: string | null;
  worker_name?: string | null;
  started_at: string | null;
  finished_at: string | null;
  error: Failure | null;
}

export interface OccurrenceDetail extends Occurrence {
  payload: JsonObject;
  result: JsonValue;
  error: Failure | null;
  idempotency_key: string | null;
  /** oldest first, the current one included */
  attempts: Attempt[];
  /** whether the broker was told */
  rung: boolean;
  /** the latest one that repeats it */
  requeued_as: number | null;
  waits_for: WaitsFor | null;
  /** what the handler keeps from one attempt to the next */
  checkpoint?: JsonValue;
  snoozed_count?: number;
}

export interface LogRecord {
  attempt: number;
  seq: number;
  at: string;
  level: string;
  message: string;
  fields: JsonObject | null;
}

export interface Page<Item> {
  items: Item[];
  next_cursor: string | null;
  /** set where so many were looked at and few matched */
  looked_at?: number | null;
}

export interface Handler {
  pattern: string;
  queue: string;
  concurrency: number;
  name: string;
  timeout: number | null;
  schema: JsonObject | null;
  doc: string;
}

export interface Worker {
  id: string;
  name: string;
  host: string;
  pid: number;
  sdk: string;
  state: "alive" | "draining" | "stopped" | "lost";
  concurrency: number;
  running: number;
  handlers: Handler[];
  started_at: string;
  heartbeat_at: string;
  stopped_at: string | null;
}

export interface Dispatcher {
  holder: string | null;
  holder_name: string;
  epoch: number;
  acquired_at: string | null;
  since_seconds: number | null;
  /** how long the oldest due job or occurrence is overdue */
  lag_seconds: number | null;
  /** what is not over and has no owner */
  ownerless: number;
  /** ten of these, at most */
  ownerless_examples: { kind: string; id: number; job_id: number; state: string; why: string }[];
  ownerless_looked_at: string | null;
  /** how often Postgres's clock was found to have been set back */
  clock_set_back: number;
  clock_set_back_at: string | null;
}

export interface Upcoming {
  job_id: number;
  job_name: string;
  next_fire_at: string;
}

export interface Overview {
  occurrences: Partial<Record<State, number>>;
  last_hour: Partial<Record<State, number>>;
  /** up to 100,000 */
  dead_letters: number;
  jobs: { total: number; paused: number };
  workers: { alive: number; slots: number; running: number };
  dispatcher: Dispatcher;
  services: Record<string, "ok" | "down">;
  upcoming: Upcoming[];
  /** set when `last_hour` counts only since then, because there are too many */
  last_hour_since?: string | null;
}

export interface FireTime {
  utc: string;
  local: string;
  /** the clock passes over the time that was asked for, or shows this time twice */
  clock: "skipped" | "first" | "second" | null;
}

/** A change of the clocks in a trigger's zone, with the fire times around it. */
export interface ClockChange {
  utc: string;
  /** what the clock would show then, and what it shows */
  before: string;
  after: string;
  fire_times: FireTime[];
}

export interface FireTimes {
  /** the trigger in words */
  description: string;
  /** what may surprise */
  notes: string[];
  fire_times: FireTime[];
  next_clock_change: ClockChange | null;
}

export interface FieldError {
  field: string;
  message: string;
}
