import { commands, type DeadLetterChoice } from "../../api/commands";
import { Confirm } from "../../parts/Confirm";
import { notify } from "../../parts/Notices";
import { BulkNote } from "./BulkNote";
import { spellMany, useBulk, useHowMany } from "./useBulk";

export interface BulkDialogProps {
  choice: DeadLetterChoice;
  /** of all that were picked, where they have one in common; else empty */
  type: string;
  onClose: () => void;
  /** `left` are those of the chosen ids that stay */
  onDone: (left?: readonly number[]) => void;
}

/** Takes dead letters out of the view without running them again. */
export function DiscardDialog({ choice, onClose, onDone }: BulkDialogProps) {
  const bulk = useBulk();
  const many = useHowMany(choice);
  return (
    <Confirm
      open
      onClose={() => {
        bulk.stop();
        onClose();
      }}
      title={`Discard ${spellMany(many)}?`}
      action="Discard"
      reason="Reason"
      run={async (reason) => {
        const { done } = await bulk.run(() => commands.discardDead(choice, reason));
        notify(`${spellMany(done.size)} discarded`);
        onDone();
      }}
    >
      They leave this list and do not run again. They stay in the history as they are.
      {bulk.progress && <BulkNote progress={bulk.progress} />}
    </Confirm>
  );
}
