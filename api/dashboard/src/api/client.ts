import { BASE_PATH } from "../app/basePath";
import { noteAnswer } from "../live/freshness";
import { noteServerTime } from "../time/clock";
import { parseJson } from "./json";
import type { FieldError } from "./types";

const ROOT = `${BASE_PATH}/api/v1`;
const DEADLINE = 30_000;

/** An answer that is not 2xx, with the API's own words, or a request that got no answer (status 0). */
export class Problem extends Error {
  readonly status: number;
  readonly title: string;
  readonly detail: string;
  readonly errors: FieldError[];

  constructor(status: number, title: string, detail: string, errors: FieldError[] = []) {
    super(detail || title);
    this.name = "Problem";
    this.status = status;
    this.title = title;
    this.detail = detail;
    this.errors = errors;
  }

  /** Whether trying the same again can help. */
  get passing(): boolean {
    return this.status === 0 || this.status === 408 || this.status === 429 || this.status >= 500;
  }
}

/** Whether an error is an answer that asking again would only repeat, such as 404. */
export function isLasting(error: unknown): boolean {
  return error instanceof Problem && !error.passing;
}

export type Query = Record<string, string | number | boolean | readonly string[] | null | undefined>;

interface Request {
  method?: "GET" | "POST" | "PUT" | "PATCH" | "DELETE";
  query?: Query;
  body?: unknown;
  headers?: Record<string, string>;
  signal?: AbortSignal;
}

/** Ask the API; `path` starts after `/api/v1`. Throws a `Problem`, or the signal's AbortError. */
export async function request<Answer>(path: string, options: Request = {}): Promise<Answer> {
  const { method = "GET", query, body, headers, signal } = options;
  const deadline = AbortSignal.timeout(DEADLINE);
  let response: Response;
  let text: string;
  try {
    response = await fetch(ROOT + path + search(query), {
      method,
      headers: {
        accept: "application/json",
        ...(body === undefined ? {} : { "content-type": "application/json" }),
        ...headers,
      },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
      signal: signal ? AbortSignal.any([signal, deadline]) : deadline,
    });
    text = await response.text();
  } catch (error) {
    if (signal?.aborted) throw error;
    const late = deadline.aborted;
    throw new Problem(
      0,
      late ? "No answer" : "Not reachable",
      late ? "The API did not answer within 30 s." : "The API cannot be reached.",
    );
  }
  noteServerTime(response.headers.get("date"));
  if (!response.ok) throw problemOf(response, text);
  noteAnswer();
  return (text === "" ? undefined : parseJson(text)) as Answer;
}

/** The address of what the browser itself is to fetch; `path` starts after `/api/v1`. */
export function addressOf(path: string): string {
  return ROOT + path;
}

function search(query: Query | undefined): string {
  const params = new URLSearchParams();
  for (const [name, value] of Object.entries(query ?? {})) {
    if (Array.isArray(value)) for (const item of value) params.append(name, String(item));
    else if (value !== undefined && value !== null && value !== "") params.append(name, String(value));
  }
  const text = params.toString();
  return text && `?${text}`;
}

function problemOf(response: Response, text: string): Problem {
  try {
    const body = JSON.parse(text) as { title?: string; detail?: string; errors?: FieldError[] };
    return new Problem(response.status, body.title ?? response.statusText, body.detail ?? "", body.errors ?? []);
  } catch {
    return new Problem(response.status, `HTTP ${response.status} ${response.statusText}`.trim(), text.slice(0, 300));
  }
}
