import type { LogRecord } from "../../api/types";

/** What of a log is shown. */
export interface LogFilter {
  /** at least this severe; empty for all */
  level: string;
  /** a part of the message or of the fields, in any case */
  text: string;
}

export const LEVELS = ["debug", "info", "warning", "error", "critical"] as const;

/** How many records are left out of a long log here, for the record that stands for them. */
export function leftOut(record: LogRecord): number | undefined {
  const { left_out: count, ...others } = record.fields ?? {};
  return typeof count === "number" && Object.keys(others).length === 0 ? count : undefined;
}

/** The fields of a record, as they stand behind its message. */
export function fieldsOf(record: LogRecord): string {
  return Object.entries(record.fields ?? {})
    .map(([name, value]) => ` ${name}=${typeof value === "string" ? value : JSON.stringify(value)}`)
    .join("");
}

/** The records that a filter lets pass, and those that stand for what is left out. */
export function shownOf(records: readonly LogRecord[], { level, text }: LogFilter): readonly LogRecord[] {
  if (level === "" && text === "") return records;
  const least = LEVELS.indexOf(level as (typeof LEVELS)[number]);
  const wanted = text.toLowerCase();
  return records.filter((record) => {
    if (leftOut(record) !== undefined) return true;
    const severe = LEVELS.indexOf(record.level.toLowerCase() as (typeof LEVELS)[number]);
    // A level of the user's own is none of these, and always passes.
    if (severe !== -1 && severe < least) return false;
    return wanted === "" || (record.message + fieldsOf(record)).toLowerCase().includes(wanted);
  });
}

/** A text in pieces, every second of which is what was searched for. */
export function piecesOf(text: string, searched: string): string[] {
  if (searched === "") return [text];
  const pieces: string[] = [];
  const [low, wanted] = [text.toLowerCase(), searched.toLowerCase()];
  // A letter whose lower case is longer would move what comes after it.
  if (low.length !== text.length) return [text];
  let from = 0;
  for (let at = low.indexOf(wanted); at !== -1; at = low.indexOf(wanted, from)) {
    pieces.push(text.slice(from, at), text.slice(at, at + wanted.length));
    from = at + wanted.length;
  }
  return [...pieces, text.slice(from)];
}
