import type { Job, OccurrenceDetail, Worker } from "../api/types";

/** A job to change for a test. */
export function aJob(changes: Partial<Job> = {}): Job {
  return {
    id: 1,
    name: "nightly",
    type: "report.daily",
    description: "",
    tags: ["nightly"],
    payload: { format: "csv" },
    trigger: { kind: "cron", expression: "0 6 * * *", timezone: "Europe/Berlin", start_at: "2026-03-29T01:30:00Z" },
    trigger_description: "every day at 06:00 Europe/Berlin",
    concurrency: "skip",
    max_concurrent: 1,
    max_waiting: 1000,
    catch_up: "latest",
    catch_up_window: 3600,
    timeout: null,
    retry: { max_attempts: 3, delay: 5, factor: 2, max_delay: 3600, max_lost: 3 },
    max_runs: null,
    runs: 0,
    version: 1,
    paused: false,
    pause_reason: null,
    next_fire_at: "2026-11-23T05:00:00Z",
    last_fire_at: null,
    created_at: "2026-11-22T05:00:00Z",
    updated_at: "2026-11-22T05:00:00Z",
    last_occurrence: null,
    ...changes,
  };
}

/** An occurrence to change for a test: its second attempt is running. */
export function anOccurrence(changes: Partial<OccurrenceDetail> = {}): OccurrenceDetail {
  return {
    id: 7,
    job_id: 1,
    job_name: "nightly",
    job_version: 1,
    type: "report.daily",
    origin: "schedule",
    scheduled_for: "2026-11-22T05:00:00Z",
    state: "running",
    reason: null,
    blocker_id: null,
    missed_count: null,
    missed_until: null,
    attempt: 2,
    max_attempts: 3,
    lost_count: 0,
    worker_id: "w2",
    worker_name: "worker-2",
    progress: null,
    created_at: "2026-11-22T05:00:00.010Z",
    started_at: "2026-11-22T05:00:09Z",
    finished_at: null,
    duration: null,
    retry_at: null,
    requeue_of: null,
    payload: {},
    result: null,
    error: null,
    idempotency_key: null,
    rung: true,
    attempts: [
      {
        attempt: 1,
        state: "failed",
        worker_id: "w1",
        started_at: "2026-11-22T05:00:01Z",
        finished_at: "2026-11-22T05:00:03Z",
        error: { type: "OSError", message: "no route" },
      },
      {
        attempt: 2,
        state: "running",
        worker_id: "w2",
        started_at: "2026-11-22T05:00:09Z",
        finished_at: null,
        error: null,
      },
    ],
    ...changes,
  };
}

/** A live worker that serves these patterns. */
export function aWorker(patterns: string[], changes: Partial<Worker> = {}): Worker {
  return {
    id: "w1",
    name: "worker-1",
    host: "host",
    pid: 1,
    sdk: "leveret-python/0",
    state: "alive",
    concurrency: 10,
    running: 0,
    handlers: patterns.map((pattern) => ({
      pattern,
      queue: "",
      concurrency: 10,
      name: "",
      timeout: null,
      schema: null,
      doc: "",
    })),
    started_at: "2026-11-22T05:00:00Z",
    heartbeat_at: "2026-11-22T05:00:00Z",
    stopped_at: null,
    ...changes,
  };
}
