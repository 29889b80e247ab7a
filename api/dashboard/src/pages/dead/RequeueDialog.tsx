import { useMutation, useQuery } from "@tanstack/react-query";
import { useState } from "react";
import { Problem } from "../../api/client";
import { commands, type PayloadChange } from "../../api/commands";
import { queries } from "../../api/queries";
import type { FieldError, JsonObject } from "../../api/types";
import { Button } from "../../parts/Button";
import { Dialog, DialogFoot } from "../../parts/Dialog";
import { Form } from "../../parts/Form";
import { notify } from "../../parts/Notices";
import { ProblemNote } from "../../parts/ProblemNote";
import { Segments } from "../../parts/Segments";
import { PayloadEditor } from "../../payload/PayloadEditor";
import { useHandler } from "../../payload/useHandler";
import { payloadOf } from "../jobs/draft";
import { PayloadDialog } from "../jobs/PayloadDialog";
import { BulkNote } from "./BulkNote";
import type { BulkDialogProps } from "./DiscardDialog";
import { type BulkProgress, spellMany, useBulk, useHowMany } from "./useBulk";

/** Runs dead letters again, each as a new occurrence. */
export function RequeueDialog(props: BulkDialogProps) {
  const { choice } = props;
  const [only] = "ids" in choice && choice.ids.length === 1 ? choice.ids : [];
  return only === undefined ? <RequeueMany {...props} /> : <RequeueOne {...props} id={only} />;
}

function RequeueOne({ id, onClose, onDone }: BulkDialogProps & { id: number }) {
  const query = useQuery(queries.occurrence(String(id)));
  const occurrence = query.data;
  const bulk = useBulk();
  // After it was refused, the next press lets it wait in the concurrency queue.
  const [later, setLater] = useState(false);
  if (!occurrence) {
    return (
      <Dialog open onClose={onClose} title={`Requeue occurrence ${id}`}>
        <div className="dialog-body">
          {query.isError ? <ProblemNote error={query.error} retry={() => void query.refetch()} /> : "…"}
        </div>
      </Dialog>
    );
  }
  return (
    <PayloadDialog
      title={`Requeue occurrence ${id}`}
      description={`Makes a new occurrence of ${occurrence.job_name}, linked to this one, that is due now.`}
      action={later ? "Requeue when there is room" : "Requeue"}
      type={occurrence.type}
      payload={occurrence.payload}
      run={async (payload) => {
        const change: PayloadChange = payload === undefined ? {} : { payload };
        const { refused } = await bulk.run(() => commands.requeueDead({ ids: [id] }, change, later));
        const [reason] = refused.values();
        if (reason !== undefined) {
          setLater(true);
          throw new Problem(409, "It stays", reason);
        }
      }}
      onClose={onClose}
      onDone={() => {
        notify(`Occurrence ${id} is requeued`);
        onDone();
      }}
    />
  );
}

const WAYS = [
  { value: "same", label: "As they were" },
  { value: "patch", label: "Fields changed" },
  { value: "whole", label: "New payload" },
] as const;

const SAID = {
  same: "Each runs with the payload it had.",
  patch: "These fields replace those of each payload; null takes one out. The others stay as they were.",
  whole: "All of them run with this one.",
} as const;

function RequeueMany({ choice, type, onClose, onDone }: BulkDialogProps) {
  const [way, setWay] = useState<keyof typeof SAID>("same");
  const [text, setText] = useState("{}");
  const [unread, setUnread] = useState<FieldError[]>([]);
  const many = useHowMany(choice);
  const handler = useHandler(type);
  const bulk = useBulk();
  const running = useMutation({
    mutationFn: ({ change, queue }: { change: PayloadChange; queue: boolean }) =>
      bulk.run(() => commands.requeueDead(choice, change, queue), bulk.progress),
    onSuccess: ({ done, left }: BulkProgress) => {
      if (left > 0) return;
      notify(`${spellMany(done.size)} requeued`);
      onDone();
    },
  });
  const some = running.isSuccess && bulk.progress !== undefined;
  const refusedSome = some && (bulk.progress?.refused.size ?? 0) > 0;
  const refused = running.error instanceof Problem ? running.error.errors : [];
  const errors = [
    ...unread,
    ...refused.map((each) => ({ ...each, field: each.field.replace(/^payload_patch/, "payload") })),
  ];
  const wrong = errors.filter((error) => /^payload\b/.test(error.field));

  function stay(): readonly number[] {
    return "ids" in choice ? choice.ids.filter((id) => !bulk.progress?.done.has(id)) : [];
  }

  function close(): void {
    bulk.stop();
    if (bulk.progress) onDone(stay());
    else onClose();
  }

  function submit(): void {
    const found: FieldError[] = [];
    const given: JsonObject | undefined = way === "same" ? undefined : payloadOf(text, found);
    setUnread(found);
    if (found.length > 0) return;
    const change = given === undefined ? {} : way === "patch" ? { payload_patch: given } : { payload: given };
    running.mutate({ change, queue: refusedSome });
  }

  return (
    <Dialog
      open
      onClose={close}
      title={`Requeue ${spellMany(many)}`}
      description="Each runs again as a new occurrence, linked to the old one, by its job's policy."
      size="medium"
      keep
    >
      <Form onSubmit={submit} refused={unread.length > 0 ? unread : running.error}>
        <div className="dialog-body">
          <div className="bulk-ways">
            <Segments label="With which payload" value={way} options={WAYS} onChange={setWay} />
            <p className="field-hint">{SAID[way]}</p>
          </div>
          {way !== "same" && (
            <PayloadEditor
              key={way}
              text={text}
              onChange={setText}
              schema={way === "whole" ? (handler?.schema ?? undefined) : undefined}
              errors={wrong}
              rows={6}
            />
          )}
          {running.isError && wrong.length === 0 && <ProblemNote error={running.error} />}
          {bulk.progress && <BulkNote progress={bulk.progress} />}
          {refusedSome && (
            <p className="field-hint bulk-hint">
              In line, they run one after the other as places of their job come free. What you close with stays here.
            </p>
          )}
        </div>
        <DialogFoot>
          {running.isPending ? (
            <Button onClick={bulk.stop}>Stop</Button>
          ) : (
            <Button onClick={close}>{bulk.progress ? "Close" : "Cancel"}</Button>
          )}
          <Button type="submit" look="solid" busy={running.isPending}>
            {refusedSome ? "Requeue the rest in line" : some ? "Go on" : "Requeue"}
          </Button>
        </DialogFoot>
      </Form>
    </Dialog>
  );
}
