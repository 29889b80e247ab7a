import type { QueryKey } from "@tanstack/react-query";

/** What the server says when something changed; facts are fetched over REST. */
export interface Changed {
  seq: number;
  /** ids, or true for any of them */
  jobs: boolean | number[];
  occurrences: number[];
  workers: boolean;
  dispatcher?: boolean;
  /** more occurrences changed than are named */
  overflow: boolean;
}

const ANY_OCCURRENCE: QueryKey[] = [["occurrences"], ["overview"], ["jobs"], ["job"], ["dead-letters"], ["backfills"]];

/** The query keys that a hint makes out of date. */
export function affected(change: Changed): QueryKey[] {
  const keys: QueryKey[] = [];
  if (change.jobs === true) keys.push(["jobs"], ["job"], ["overview"]);
  else if (change.jobs !== false && change.jobs.length > 0) {
    keys.push(["jobs"], ["overview"], ...change.jobs.map((id) => ["job", String(id)]));
  }
  if (change.overflow) keys.push(...ANY_OCCURRENCE, ["occurrence"]);
  else if (change.occurrences.length > 0) {
    keys.push(...ANY_OCCURRENCE, ...change.occurrences.map((id) => ["occurrence", String(id)]));
  }
  // Workers that come and go decide which jobs are served.
  if (change.workers) keys.push(["workers"], ["types"], ["jobs"], ["job"], ["overview"]);
  if (change.dispatcher) keys.push(["overview"]);
  return keys;
}

/** Follows the sequence of hints and tells when one is missing. */
export class Sequence {
  #last: number | undefined;

  /** True when hints between the last one and this were lost. */
  gap(seq: number): boolean {
    const lost = this.#last !== undefined && seq !== this.#last + 1;
    this.#last = seq;
    return lost;
  }

  /** A new connection: the server tells the number of the hint before the next one. */
  begin(seq: number | undefined): void {
    this.#last = seq;
  }
}
