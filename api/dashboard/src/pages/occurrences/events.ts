import type { Failure, OccurrenceDetail } from "../../api/types";
import { isFinal, isRunning } from "../../states/states";

/** One step in an occurrence's life. */
export interface Step {
  /** a state, or how an attempt ended */
  mark: string;
  title: string;
  /** ISO 8601; null while it goes on or when it is not known */
  at: string | null;
  /** milliseconds since the step before it, where both are known */
  after: number | null;
  note?: string | undefined;
  failure?: Failure | null;
}

/** An occurrence's life so far, oldest first. */
export function stepsOf(occurrence: OccurrenceDetail): Step[] {
  const due = {
    mark: occurrence.state === "scheduled" ? "scheduled" : "due",
    title: "Due",
    at: occurrence.scheduled_for,
  };
  const steps: Omit<Step, "after">[] = [due];
  if (occurrence.attempts.length === 0 && (occurrence.state === "skipped" || occurrence.state === "missed")) {
    steps.push({
      mark: occurrence.state,
      title: occurrence.state === "skipped" ? "Skipped" : "Missed",
      at: occurrence.created_at,
    });
    return timed(steps);
  }
  const created = { mark: "pending", title: "Created", at: occurrence.created_at };
  // What was triggered for a later time was there before it was due.
  if (Date.parse(created.at) < Date.parse(due.at)) steps.unshift(created);
  else steps.push(created);
  for (const attempt of occurrence.attempts) {
    const current =
      attempt.attempt === occurrence.attempt && (attempt.finished_at === null || isRunning(occurrence.state));
    const worker = attempt.worker_name ?? (current ? occurrence.worker_name : null);
    if (attempt.started_at) {
      steps.push({
        mark: "running",
        title: `Attempt ${attempt.attempt} started`,
        at: attempt.started_at,
        note: worker ? `on ${worker}` : undefined,
      });
    }
    if (attempt.finished_at) {
      steps.push({
        mark: attempt.state,
        title: `Attempt ${attempt.attempt} ${attempt.state.replaceAll("_", " ")}`,
        at: attempt.finished_at,
        failure: attempt.error,
      });
    }
  }
  const last = occurrence.attempts.at(-1);
  if (occurrence.state === "retrying" && occurrence.retry_at) {
    steps.push({ mark: "retrying", title: `Attempt ${occurrence.attempt + 1} is due`, at: occurrence.retry_at });
  } else if (occurrence.state === "waiting") {
    steps.push({ mark: "waiting", title: "Waits for its turn", at: null });
  } else if (occurrence.state === "pending") {
    steps.push({
      mark: "pending",
      title: occurrence.waits_for ? `Waits for ${occurrence.waits_for.text}` : "Waits for a worker",
      at: null,
    });
  } else if (occurrence.state === "cancelling") {
    steps.push({ mark: "cancelling", title: "The worker is told to stop", at: null });
  } else if (isFinal(occurrence.state) && (!last?.finished_at || last.state !== occurrence.state)) {
    const word = occurrence.state.replaceAll("_", " ");
    steps.push({
      mark: occurrence.state,
      title: word.charAt(0).toUpperCase() + word.slice(1),
      at: occurrence.finished_at,
    });
  }
  return timed(steps);
}

function timed(steps: Omit<Step, "after">[]): Step[] {
  let before: number | null = null;
  return steps.map((step) => {
    const at = step.at === null ? null : Date.parse(step.at);
    const after = at === null || before === null ? null : at - before;
    if (at !== null) before = at;
    return { ...step, after };
  });
}
