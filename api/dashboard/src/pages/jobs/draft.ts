import { parseJson, printJson } from "../../api/json";
import type {
  CatchUp,
  Concurrency,
  FieldError,
  Job,
  JobDefinition,
  JsonObject,
  RetryPolicy,
  Trigger,
} from "../../api/types";
import { OWN_ZONE } from "../../time/format";
import { parseSpan, spellSpan } from "../../time/span";
import { knownZone, wallTime } from "../../time/wall";

/** A job as it stands in the form: text as typed. An empty field means the default, or none. */
export interface Draft {
  name: string;
  type: string;
  description: string;
  tags: string;
  payload: string;
  kind: Trigger["kind"];
  expression: string;
  timezone: string;
  every: string;
  at: string;
  startAt: string;
  endAt: string;
  jitter: string;
  concurrency: Concurrency;
  maxConcurrent: string;
  maxWaiting: string;
  catchUp: CatchUp;
  catchUpWindow: string;
  timeout: string;
  maxAttempts: string;
  retryDelay: string;
  retryFactor: string;
  retryMaxDelay: string;
  maxLost: string;
  maxRuns: string;
  concurrencyKey: string;
  priority: string;
  disableAfter: string;
}

/** The default of each field that may stay empty, to show in its place. */
export const DEFAULTS = {
  maxConcurrent: "1",
  maxWaiting: "1000",
  catchUpWindow: "1h",
  maxAttempts: "3",
  retryDelay: "5s",
  retryFactor: "2",
  retryMaxDelay: "1h",
  maxLost: "3",
  priority: "5",
} as const;

export const EMPTY: Draft = {
  name: "",
  type: "",
  description: "",
  tags: "",
  payload: "{}",
  kind: "cron",
  expression: "",
  timezone: OWN_ZONE,
  every: "",
  at: "",
  startAt: "",
  endAt: "",
  jitter: "",
  concurrency: "skip",
  maxConcurrent: "",
  maxWaiting: "",
  catchUp: "latest",
  catchUpWindow: "",
  timeout: "",
  maxAttempts: "",
  retryDelay: "",
  retryFactor: "",
  retryMaxDelay: "",
  maxLost: "",
  maxRuns: "",
  concurrencyKey: "",
  priority: "",
  disableAfter: "",
};

/** The form's content for a job that exists. */
export function draftOf(job: JobDefinition): Draft {
  const trigger = job.trigger;
  const timezone = ("timezone" in trigger && trigger.timezone) || (trigger.kind === "cron" ? "UTC" : OWN_ZONE);
  const wall = (at: string | null | undefined) => (at ? wallTime(at, timezone) : "");
  return {
    ...EMPTY,
    name: job.name,
    type: job.type,
    description: job.description,
    tags: job.tags.join(", "),
    payload: printJson(job.payload),
    kind: trigger.kind,
    timezone,
    expression: trigger.kind === "cron" ? trigger.expression : "",
    every: trigger.kind === "interval" ? spellSpan(trigger.every) : "",
    at: trigger.kind === "once" ? wall(trigger.at) : "",
    startAt: "start_at" in trigger ? wall(trigger.start_at) : "",
    endAt: "end_at" in trigger ? wall(trigger.end_at) : "",
    jitter: "jitter" in trigger && trigger.jitter ? spellSpan(trigger.jitter) : "",
    concurrency: job.concurrency,
    maxConcurrent: String(job.max_concurrent),
    maxWaiting: String(job.max_waiting),
    catchUp: job.catch_up,
    catchUpWindow: spellSpan(job.catch_up_window),
    timeout: job.timeout === null ? "" : spellSpan(job.timeout),
    maxAttempts: String(job.retry.max_attempts),
    retryDelay: spellSpan(job.retry.delay),
    retryFactor: String(job.retry.factor),
    retryMaxDelay: spellSpan(job.retry.max_delay),
    maxLost: String(job.retry.max_lost),
    maxRuns: job.max_runs === null ? "" : String(job.max_runs),
    concurrencyKey: job.concurrency_key ?? "",
    priority: String(job.priority),
    disableAfter: job.disable_after === null ? "" : String(job.disable_after),
  };
}

/** What the form says, in the API's form, and what cannot be read, named as the API names it. */
export interface Reading {
  definition: Partial<JobDefinition>;
  errors: FieldError[];
}

/** The trigger in the draft, or undefined while what it cannot do without is missing. */
export function triggerOf(draft: Draft, errors: FieldError[] = []): Trigger | undefined {
  const jitter = span(draft.jitter, "trigger.jitter", errors);
  const spread = jitter === undefined ? {} : { jitter };
  switch (draft.kind) {
    case "manual":
      return { kind: "manual" };
    case "once":
      return draft.at === ""
        ? undefined
        : { kind: "once", at: withSeconds(draft.at), timezone: draft.timezone.trim(), ...spread };
    case "cron": {
      const expression = draft.expression.trim();
      if (expression === "") return undefined;
      return { kind: "cron", expression, timezone: draft.timezone.trim(), ...bounds(draft, withSeconds), ...spread };
    }
    case "interval": {
      const every = span(draft.every, "trigger.every", errors);
      if (every === undefined) return undefined;
      // An interval has no zone of its own: its times are this machine's, sent as instants.
      return { kind: "interval", every, ...bounds(draft, (text) => new Date(text).toISOString()), ...spread };
    }
  }
}

/** The whole draft. */
export function read(draft: Draft): Reading {
  const errors: FieldError[] = [];
  const trigger = triggerOf(draft, errors);
  const missing = { cron: "expression", interval: "every", once: "at", manual: "" }[draft.kind];
  if (!trigger && errors.length === 0) errors.push({ field: `trigger.${missing}`, message: "is needed" });
  if (draft.kind !== "manual" && draft.kind !== "interval" && !knownZone(draft.timezone.trim())) {
    errors.push({ field: "trigger.timezone", message: "is not a time zone such as Europe/Berlin" });
  }
  const definition: Partial<JobDefinition> = {
    name: draft.name.trim(),
    type: draft.type.trim(),
    description: draft.description.trim(),
    tags: draft.tags.split(/[\s,]+/).filter((tag) => tag !== ""),
    concurrency: draft.concurrency,
    catch_up: draft.catchUp,
    timeout: span(draft.timeout, "timeout", errors) ?? null,
    max_runs: number(draft.maxRuns, "max_runs", errors) ?? null,
    concurrency_key: draft.concurrencyKey.trim() || null,
    disable_after: number(draft.disableAfter, "disable_after", errors) ?? null,
    ...only("priority", number(draft.priority, "priority", errors)),
    ...only("max_concurrent", number(draft.maxConcurrent, "max_concurrent", errors)),
    ...only("max_waiting", number(draft.maxWaiting, "max_waiting", errors)),
    ...only("catch_up_window", span(draft.catchUpWindow, "catch_up_window", errors)),
    ...only("trigger", trigger),
    ...only("payload", payloadOf(draft.payload, errors)),
  };
  const retry: Partial<RetryPolicy> = {
    ...only("max_attempts", number(draft.maxAttempts, "retry.max_attempts", errors)),
    ...only("delay", span(draft.retryDelay, "retry.delay", errors)),
    ...only("factor", number(draft.retryFactor, "retry.factor", errors)),
    ...only("max_delay", span(draft.retryMaxDelay, "retry.max_delay", errors)),
    ...only("max_lost", number(draft.maxLost, "retry.max_lost", errors)),
  };
  if (Object.keys(retry).length > 0) definition.retry = retry as RetryPolicy;
  return { definition, errors };
}

/**
 * Only what differs between two drafts of a job, so that an edit takes back nothing that another user changed. What was
 * emptied is null, which puts the default back.
 */
export function changesBetween(before: Draft, after: Draft): Reading {
  const { definition, errors } = read(after);
  const changed = differences(read(before).definition, definition);
  const retry = differences(read(before).definition.retry ?? {}, definition.retry ?? {});
  if (Object.keys(retry).length > 0) changed.retry = retry;
  return { definition: changed, errors };
}

/** What was typed into a form (`after`, which began as `before`), on top of what the job has become meanwhile. */
export function rebased(after: Draft, before: Draft, now: Draft): Draft {
  const typed = Object.entries(after).filter(([name, value]) => value !== before[name as keyof Draft]);
  return { ...now, ...Object.fromEntries(typed) };
}

function differences(before: object, after: object): Record<string, unknown> {
  const old = before as Record<string, unknown>;
  const now = after as Record<string, unknown>;
  const names = Object.keys({ ...old, ...now }).filter(
    (name) => JSON.stringify(old[name]) !== JSON.stringify(now[name]),
  );
  return Object.fromEntries(names.map((name) => [name, now[name] ?? null]));
}

/** The JSON object in a text field. */
export function payloadOf(text: string, errors: FieldError[]): JsonObject | undefined {
  try {
    const value = parseJson(text.trim() || "{}");
    if (typeof value === "object" && value !== null && !Array.isArray(value)) return value as JsonObject;
    errors.push({ field: "payload", message: 'has to be a JSON object, such as {"to": "ada@example.com"}' });
  } catch (error) {
    errors.push({
      field: "payload",
      message: `is not JSON: ${error instanceof Error ? error.message : String(error)}`,
    });
  }
  return undefined;
}

/** The draft for a copy of a job. */
export function copyOf(job: Job): Draft {
  return { ...draftOf(job), name: `${job.name}-copy` };
}

function bounds(draft: Draft, convert: (text: string) => string): { start_at?: string; end_at?: string } {
  return {
    ...(draft.startAt === "" ? {} : { start_at: convert(draft.startAt) }),
    ...(draft.endAt === "" ? {} : { end_at: convert(draft.endAt) }),
  };
}

/** Browsers leave out seconds that are zero. */
export function withSeconds(text: string): string {
  return text.length === 16 ? `${text}:00` : text;
}

function span(text: string, field: string, errors: FieldError[]): number | undefined {
  if (text.trim() === "") return undefined;
  const value = parseSpan(text);
  if (value === undefined) errors.push({ field, message: "is not a time span such as 30s, 5m or 1h 30m" });
  return value;
}

function number(text: string, field: string, errors: FieldError[]): number | undefined {
  if (text.trim() === "") return undefined;
  const value = Number(text);
  if (Number.isNaN(value)) errors.push({ field, message: "is not a number" });
  return Number.isNaN(value) ? undefined : value;
}

function only<Name extends string, Value>(name: Name, value: Value | undefined): { [name in Name]?: Value } {
  return (value === undefined ? {} : { [name]: value }) as { [name in Name]?: Value };
}
