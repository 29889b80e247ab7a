import type { State } from "../api/types";

/** Every state in the order of an occurrence's life. */
export const STATES: readonly State[] = [
  "scheduled",
  "waiting",
  "pending",
  "running",
  "cancelling",
  "retrying",
  "succeeded",
  "failed",
  "timed_out",
  "cancelled",
  "skipped",
  "missed",
];

/** States that an occurrence will leave. */
export const LIVE_STATES: readonly State[] = ["scheduled", "waiting", "pending", "running", "cancelling", "retrying"];

/** How an occurrence can end. */
export const FINAL_STATES: readonly State[] = STATES.filter((state) => !LIVE_STATES.includes(state));

/** Endings that a user may have to look at. */
export const TROUBLE: readonly State[] = ["failed", "timed_out", "missed"];

/** States in which the error of the last attempt tells why. */
export const WITH_ERROR: readonly State[] = ["failed", "timed_out", "retrying"];

/** Whether the occurrence has ended. */
export function isFinal(state: State): boolean {
  return FINAL_STATES.includes(state);
}

/** Whether a worker has it. */
export function isRunning(state: State): boolean {
  return state === "running" || state === "cancelling";
}

/** `timed_out` → `timed out`. */
export function stateLabel(state: string): string {
  return state.replaceAll("_", " ");
}

/** What the state of an occurrence means: which of the reasons it is, where there are several. */
export function meaningOf({ state, attempt }: { state: State; attempt: number }): string {
  if (state !== "skipped") return MEANING[state];
  return attempt === 0 ? "Not run, by the job's concurrency policy" : "Its handler said that there is nothing to do";
}

/** What a state means, in a sentence. */
export const MEANING: Record<State, string> = {
  scheduled: "Triggered for a later time",
  waiting: "Behind another occurrence of the same job",
  pending: "Due; no worker has claimed it yet",
  running: "A worker runs it",
  cancelling: "The worker has been told to stop",
  retrying: "Between two attempts",
  succeeded: "The handler returned",
  failed: "The handler raised and no attempt is left",
  timed_out: "It took longer than the job allows",
  cancelled: "It was cancelled",
  skipped: "Not run, by the job's concurrency policy or because its handler said so",
  missed: "Not run, because it was not dispatched in time",
};
