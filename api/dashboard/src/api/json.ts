import type { JsonValue } from "./types";

interface Source {
  source?: string;
}
type RawJson = (text: string) => unknown;

const rawJson = (JSON as { rawJSON?: RawJson }).rawJSON;

/**
 * Parse JSON without rounding whole numbers beyond 2^53: they are kept as written and stringified the same way. A browser
 * that cannot do so rounds them, as JSON.parse does.
 */
export function parseJson(text: string): unknown {
  return JSON.parse(text, (_key: string, value: unknown, context?: Source) =>
    rawJson &&
    typeof value === "number" &&
    context?.source &&
    !Number.isSafeInteger(value) &&
    /^-?\d+$/.test(context.source)
      ? rawJson(context.source)
      : value,
  );
}

/** JSON as a person reads it. */
export function printJson(value: JsonValue | undefined): string {
  return JSON.stringify(value ?? null, null, 2);
}
