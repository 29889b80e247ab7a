import { useRef } from "react";

/**
 * The rows to show while the user points at them: rows keep their places, changed ones show what is new, those that came since
 * are held back, those that went stay. Not held, the rows are shown as they are.
 *
 * Returns the rows and how many were held back.
 */
export function steadyRows<Row>(
  shown: readonly Row[],
  fresh: readonly Row[],
  idOf: (row: Row) => string,
): { rows: readonly Row[]; heldBack: number } {
  const byId = new Map(fresh.map((row) => [idOf(row), row]));
  const rows = shown.map((row) => byId.get(idOf(row)) ?? row);
  for (const row of shown) byId.delete(idOf(row));
  return { rows, heldBack: byId.size };
}

/** Milliseconds in which what the user did shows, under the pointer or not. */
const OWN_DOING = 1_500;
let freeUntil = 0;

/** The user has just changed rows: what goes because of it is not kept in place. */
export function freeRows(): void {
  freeUntil = Date.now() + OWN_DOING;
}

/**
 * `steadyRows` from one rendering to the next.
 *
 * @param scope names the list that the rows belong to: those of another list are never kept. Undefined while that is not known.
 */
export function useSteadyRows<Row>(
  fresh: readonly Row[],
  idOf: (row: Row) => string,
  scope: string | undefined,
  held: boolean,
) {
  const shown = useRef<{ scope: string | undefined; rows: readonly Row[] }>({ scope: undefined, rows: [] });
  const { rows: before, scope: of } = shown.current;
  const keep = held && Date.now() > freeUntil && scope !== undefined && of === scope && before.length > 0;
  const result = keep ? steadyRows(before, fresh, idOf) : { rows: fresh, heldBack: 0 };
  shown.current = { scope, rows: result.rows };
  return result;
}
