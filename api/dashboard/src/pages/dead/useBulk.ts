import { useQuery, useQueryClient } from "@tanstack/react-query";
import { useRef, useState } from "react";
import { commands, type DeadLetterChoice } from "../../api/commands";
import type { DeadLetterResult } from "../../api/operations";
import { freeRows } from "../../parts/table/useSteadyRows";

/** How far a press on many is. */
export interface BulkProgress {
  /** those that were dealt with */
  done: ReadonlySet<number>;
  left: number;
  /** what stays, and why */
  refused: ReadonlyMap<number, string>;
}

/** Works through many dead letters, some hundreds a request, until none is left, none can be done, or the user stops it. */
export function useBulk() {
  const client = useQueryClient();
  const stopped = useRef(false);
  const [progress, setProgress] = useState<BulkProgress>();

  /** `before` is what an earlier press came to, for one that goes on with what it left. */
  async function run(step: () => Promise<DeadLetterResult>, before?: BulkProgress): Promise<BulkProgress> {
    stopped.current = false;
    const refused = new Map<number, string>();
    const done = new Set(before?.done);
    try {
      for (;;) {
        const { ids, remaining, refused: those = [] } = await step();
        for (const { id, reason } of those) refused.set(id, reason);
        for (const id of ids) {
          done.add(id);
          refused.delete(id);
        }
        // What was refused stays where it is, and would be refused again.
        const ended = stopped.current || ids.length === 0 || remaining <= refused.size;
        const now = { done: new Set(done), left: remaining, refused: new Map(refused) };
        setProgress(now);
        if (ended) return now;
      }
    } finally {
      freeRows();
      for (const name of ["dead-letters", "occurrences", "occurrence", "overview"]) {
        void client.invalidateQueries({ queryKey: [name] });
      }
    }
  }

  return { progress, run, stop: () => (stopped.current = true) };
}

/** How many are meant: known for those that were picked one by one, asked for otherwise. */
export function useHowMany(choice: DeadLetterChoice): number | undefined {
  const asked = useQuery({
    // Not among the keys of the list: hints would count anew while the work goes on.
    queryKey: ["dead-letter-count", choice],
    queryFn: () => commands.countDead(choice),
    gcTime: 0,
    enabled: "filter" in choice,
  });
  return "ids" in choice ? choice.ids.length : asked.data;
}

/** `1 dead letter`, `312 dead letters`, `all that match`. */
export function spellMany(many: number | undefined): string {
  if (many === undefined) return "all that match";
  return many === 1
    ? "1 dead letter"
    : `${many >= 10_000 ? "more than 10,000" : many.toLocaleString("en")} dead letters`;
}
