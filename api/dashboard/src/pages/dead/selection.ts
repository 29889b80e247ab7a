import { useCallback, useState } from "react";
import type { DeadLetterChoice } from "../../api/commands";
import type { DeadLetter, DeadLetterFilter } from "../../api/operations";
import { serverNow } from "../../time/clock";

/** Which dead letters are picked: some of them, or all that match and had ended by `until`. */
export type Selection = { picked: ReadonlyMap<number, DeadLetter> } | { until: string };

const NONE: Selection = { picked: new Map() };

/** What is picked under a filter; under another one nothing is. */
export function useSelection(filter: DeadLetterFilter): [Selection, (selection: Selection) => void] {
  const scope = JSON.stringify(filter);
  const [kept, keep] = useState({ scope, selection: NONE });
  const select = useCallback((selection: Selection) => keep({ scope, selection }), [scope]);
  return [kept.scope === scope ? kept.selection : NONE, select];
}

/** Picks nothing. */
export const nothing: Selection = NONE;

/**
 * Picks all that match. Those that end later are not meant: what is requeued may fail again while it goes on.
 *
 * @param newest the newest that is shown; undefined where the newest are not.
 */
export function allThatMatch(filter: DeadLetterFilter, newest: DeadLetter | undefined): Selection {
  // The server's times are finer than ours.
  const after = newest?.finished_at ? Date.parse(newest.finished_at) + 1 : serverNow();
  const until = filter.until === undefined ? after : Math.min(after, Date.parse(filter.until));
  return { until: new Date(until).toISOString() };
}

/** Whether a dead letter is meant. */
export function isPicked(selection: Selection, row: DeadLetter): boolean {
  if ("picked" in selection) return selection.picked.has(row.id);
  return Date.parse(row.finished_at ?? row.scheduled_for) < Date.parse(selection.until);
}

/** The selection with these rows in it or not. */
export function withRows(selection: Selection, rows: readonly DeadLetter[], picked: boolean): Selection {
  const next = new Map("picked" in selection ? selection.picked : []);
  for (const row of rows) {
    if (picked) next.set(row.id, row);
    else next.delete(row.id);
  }
  return { picked: next };
}

/** What a selection stands for, as it is asked for. */
export function choiceOf(selection: Selection, filter: DeadLetterFilter): DeadLetterChoice {
  return "picked" in selection
    ? { ids: [...selection.picked.keys()] }
    : { filter: { ...filter, until: selection.until } };
}
