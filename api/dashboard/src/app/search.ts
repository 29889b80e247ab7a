import type { DeadLetterPageFilter, JobFilter, OccurrenceFilter } from "../api/queries";
import type { State } from "../api/types";
import { STATES } from "../states/states";

type Raw = Record<string, unknown>;

/** `?state=failed&state=missed&job=x` → `{state: ["failed", "missed"], job: "x"}`; nothing is read as JSON. */
export function parseSearch(text: string): Record<string, string | string[]> {
  const values: Record<string, string | string[]> = {};
  for (const [name, value] of new URLSearchParams(text)) {
    const before = values[name];
    values[name] = before === undefined ? value : [...(Array.isArray(before) ? before : [before]), value];
  }
  return values;
}

/** The reverse of `parseSearch`; what is undefined, null or empty is left out. */
export function stringifySearch(values: Raw): string {
  const params = new URLSearchParams();
  for (const [name, value] of Object.entries(values)) {
    for (const item of Array.isArray(value) ? value : [value]) {
      if (item !== undefined && item !== null && item !== "") params.append(name, String(item));
    }
  }
  const text = params.toString();
  return text && `?${text}`;
}

function word(value: unknown): string | undefined {
  const first = Array.isArray(value) ? value[0] : value;
  return typeof first === "string" && first !== "" ? first : undefined;
}

function instant(value: unknown): string | undefined {
  return Number.isNaN(Date.parse(word(value) ?? "")) ? undefined : word(value);
}

function either(value: unknown): boolean | undefined {
  const text = typeof value === "boolean" ? String(value) : word(value);
  return text === "true" ? true : text === "false" ? false : undefined;
}

/** Leave out what is undefined, so that equal filters are equal query keys and addresses. */
function given<Filter extends object>(filter: Filter): Filter {
  return Object.fromEntries(Object.entries(filter).filter(([, value]) => value !== undefined)) as Filter;
}

/** The filter of the jobs page in an address. */
export function jobFilter(raw: Raw): JobFilter {
  return given({
    search: word(raw.search),
    type: word(raw.type),
    tag: word(raw.tag),
    paused: either(raw.paused),
    served: either(raw.served),
    cursor: word(raw.cursor),
  });
}

/** The filter of the occurrences page in an address; unknown states are left out. */
export function occurrenceFilter(raw: Raw): OccurrenceFilter {
  const named = Array.isArray(raw.state) ? raw.state : [raw.state];
  const state = STATES.filter((each: State) => named.includes(each));
  return given({
    job: word(raw.job),
    type: word(raw.type),
    worker: word(raw.worker),
    backfill: word(raw.backfill),
    state: state.length > 0 ? state : undefined,
    since: instant(raw.since),
    until: instant(raw.until),
    error: word(raw.error),
    cursor: word(raw.cursor),
  });
}

/** The filter of the dead letters' page in an address; times that are none are left out. */
export function deadLetterFilter(raw: Raw): DeadLetterPageFilter {
  return given({
    job: word(raw.job),
    type: word(raw.type),
    search: word(raw.search),
    since: instant(raw.since),
    until: instant(raw.until),
    cursor: word(raw.cursor),
  });
}
