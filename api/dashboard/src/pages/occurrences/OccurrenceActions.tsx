import { useQueryClient } from "@tanstack/react-query";
import { useNavigate } from "@tanstack/react-router";
import { useState } from "react";
import { commands } from "../../api/commands";
import type { OccurrenceDetail } from "../../api/types";
import { Button } from "../../parts/Button";
import { Confirm } from "../../parts/Confirm";
import { RepeatIcon, StopIcon } from "../../parts/icons";
import { isFinal, isRunning } from "../../states/states";
import { DiscardDialog } from "../dead/DiscardDialog";
import { PayloadDialog } from "../jobs/PayloadDialog";

/** What can be done to an occurrence: cancel it while it lives, run it again when it is over. */
export function OccurrenceActions({ occurrence }: { occurrence: OccurrenceDetail }) {
  const client = useQueryClient();
  const navigate = useNavigate();
  const [open, setOpen] = useState<"cancel" | "requeue" | "discard" | null>(null);
  const close = () => setOpen(null);
  const dead = (occurrence.state === "failed" || occurrence.state === "timed_out") && occurrence.resolution === null;
  return (
    <>
      {dead && <Button onClick={() => setOpen("discard")}>Discard</Button>}
      {isFinal(occurrence.state) ? (
        <Button icon={<RepeatIcon />} onClick={() => setOpen("requeue")}>
          Requeue
        </Button>
      ) : (
        <Button icon={<StopIcon />} disabled={occurrence.state === "cancelling"} onClick={() => setOpen("cancel")}>
          {occurrence.state === "cancelling" ? "Cancelling" : "Cancel"}
        </Button>
      )}
      <Confirm
        open={open === "cancel"}
        onClose={close}
        title={`Cancel occurrence ${occurrence.id}?`}
        action="Cancel it"
        reason="Reason"
        run={async (reason) => {
          try {
            await commands.cancel(occurrence.id, reason);
          } finally {
            void client.invalidateQueries({ queryKey: ["occurrence", String(occurrence.id)] });
            void client.invalidateQueries({ queryKey: ["occurrences"] });
          }
        }}
      >
        {isRunning(occurrence.state)
          ? "Its worker is told to stop it; that takes as long as the handler needs."
          : "It will not run. Its job stays as it is."}
      </Confirm>
      {open === "discard" && <DiscardDialog choice={{ ids: [occurrence.id] }} type="" onClose={close} onDone={close} />}
      {open === "requeue" && (
        <PayloadDialog
          title={`Requeue occurrence ${occurrence.id}`}
          description="Makes a new occurrence, linked to this one, that is due now."
          action="Requeue"
          type={occurrence.type}
          payload={occurrence.payload}
          run={(payload) => commands.requeue(occurrence.id, payload)}
          onClose={close}
          onDone={(made) => {
            close();
            void navigate({ to: "/occurrences/$id", params: { id: String(made.id) } });
          }}
        />
      )}
    </>
  );
}
