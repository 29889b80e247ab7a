import { useState } from "react";
import type { DeadLetterChoice } from "../../api/commands";
import type { DeadLetter, DeadLetterFilter } from "../../api/operations";
import { Button } from "../../parts/Button";
import { RepeatIcon } from "../../parts/icons";
import { count } from "../../time/format";
import { DiscardDialog } from "./DiscardDialog";
import { RequeueDialog } from "./RequeueDialog";
import { allThatMatch, choiceOf, isPicked, nothing, type Selection, withRows } from "./selection";

interface BulkBarProps {
  filter: DeadLetterFilter;
  /** those on this page */
  rows: readonly DeadLetter[];
  /** they belong to the filter before: nothing can be done with them */
  outdated: boolean;
  selection: Selection;
  select: (selection: Selection) => void;
  /** whether this page is the first one, with the newest */
  first: boolean;
  /** whether more match than are on this page */
  more: boolean;
}

interface Open {
  kind: "requeue" | "discard";
  choice: DeadLetterChoice;
  type: string;
}

/** Picks dead letters, the page's or all that match, and says what is to be done with them. */
export function BulkBar({ filter, rows, outdated, selection, select, first, more }: BulkBarProps) {
  // What is picked by the time the dialog opens, whatever comes and goes while it is open.
  const [open, setOpen] = useState<Open | null>(null);
  const all = "until" in selection;
  const here = rows.filter((row) => isPicked(selection, row)).length;
  const some = all || selection.picked.size > 0;

  function show(kind: Open["kind"]): void {
    const types = new Set(all ? [] : [...selection.picked.values()].map((each) => each.type));
    // A single type tells what its handler takes.
    const type = all ? (filter.type ?? "") : types.size === 1 ? ([...types][0] ?? "") : "";
    setOpen({ kind, choice: choiceOf(selection, filter), type });
  }

  const dialog = open && {
    choice: open.choice,
    type: open.type,
    onClose: () => setOpen(null),
    onDone: (left: readonly number[] = []) => {
      setOpen(null);
      const stay = all ? [] : [...selection.picked.values()].filter((row) => left.includes(row.id));
      select(withRows(nothing, stay, true));
    },
  };

  if (rows.length === 0 && !some && !open) return null;
  return (
    <div className="bulk" inert={outdated}>
      {rows.length > 0 && (
        <label className="check">
          <input
            type="checkbox"
            checked={all || here === rows.length}
            disabled={all}
            ref={(box) => {
              if (box) box.indeterminate = !all && here > 0 && here < rows.length;
            }}
            onChange={(event) => select(withRows(selection, rows, event.target.checked))}
          />
          Select this page
        </label>
      )}
      {more && !all && (
        <Button size="small" look="ghost" onClick={() => select(allThatMatch(filter, first ? rows[0] : undefined))}>
          Select all that match
        </Button>
      )}
      {some && (
        <>
          <span className="bulk-said" role="status">
            {all ? "All that match are selected" : `${count(selection.picked.size)} selected`}
          </span>
          <Button size="small" look="solid" icon={<RepeatIcon />} onClick={() => show("requeue")}>
            Requeue…
          </Button>
          <Button size="small" onClick={() => show("discard")}>
            Discard…
          </Button>
          <Button size="small" look="ghost" onClick={() => select(nothing)}>
            Select none
          </Button>
        </>
      )}
      {open?.kind === "requeue" && dialog && <RequeueDialog {...dialog} />}
      {open?.kind === "discard" && dialog && <DiscardDialog {...dialog} />}
    </div>
  );
}
