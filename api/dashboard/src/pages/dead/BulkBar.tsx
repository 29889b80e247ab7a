import { useState } from "react";
import type { DeadLetterChoice } from "../../api/commands";
import type { DeadLetter, DeadLetterFilter } from "../../api/operations";
import { Button } from "../../parts/Button";
import { RepeatIcon } from "../../parts/icons";
import { count } from "../../time/format";
import { DiscardDialog } from "./DiscardDialog";
import { RequeueDialog } from "./RequeueDialog";

type Picked = ReadonlyMap<number, DeadLetter>;

interface BulkBarProps {
  filter: DeadLetterFilter;
  /** those on this page */
  rows: readonly DeadLetter[];
  picked: Picked;
  all: boolean;
  /** whether more match than are on this page */
  more: boolean;
  pick: (picked: Picked) => void;
  pickAll: (all: boolean) => void;
}

/** Picks dead letters, the page's or all that match, and says what is to be done with them. */
export function BulkBar({ filter, rows, picked, all, more, pick, pickAll }: BulkBarProps) {
  const [open, setOpen] = useState<"requeue" | "discard" | null>(null);
  const here = rows.filter((row) => picked.has(row.id)).length;
  const some = all || picked.size > 0;
  const choice: DeadLetterChoice = all ? { filter } : { ids: [...picked.keys()] };
  const types = new Set([...picked.values()].map((each) => each.type));
  const dialog = {
    choice,
    // A single type tells what its handler takes.
    type: all ? (filter.type ?? "") : types.size === 1 ? ([...types][0] ?? "") : "",
    onClose: () => setOpen(null),
    onDone: () => {
      setOpen(null);
      clear();
    },
  };

  function clear(): void {
    pick(new Map());
    pickAll(false);
  }

  return (
    <div className="bulk">
      <label className="check">
        <input
          type="checkbox"
          checked={all || here === rows.length}
          disabled={all}
          ref={(box) => {
            if (box) box.indeterminate = !all && here > 0 && here < rows.length;
          }}
          onChange={(event) => {
            const next = new Map(picked);
            for (const row of rows) {
              if (event.target.checked) next.set(row.id, row);
              else next.delete(row.id);
            }
            pick(next);
          }}
        />
        Select this page
      </label>
      {more && !all && (
        <Button size="small" look="ghost" onClick={() => pickAll(true)}>
          Select all that match
        </Button>
      )}
      {some && (
        <>
          <span className="bulk-said" role="status">
            {all ? "All that match are selected" : `${count(picked.size)} selected`}
          </span>
          <Button size="small" look="solid" icon={<RepeatIcon />} onClick={() => setOpen("requeue")}>
            Requeue…
          </Button>
          <Button size="small" onClick={() => setOpen("discard")}>
            Discard…
          </Button>
          <Button size="small" look="ghost" onClick={clear}>
            Select none
          </Button>
        </>
      )}
      {open === "requeue" && <RequeueDialog {...dialog} />}
      {open === "discard" && <DiscardDialog {...dialog} />}
    </div>
  );
}
