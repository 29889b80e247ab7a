import { useMutation } from "@tanstack/react-query";
import { useState } from "react";
import { Problem } from "../../api/client";
import { printJson } from "../../api/json";
import type { FieldError, JsonObject, Occurrence } from "../../api/types";
import { Button } from "../../parts/Button";
import { Dialog, DialogFoot } from "../../parts/Dialog";
import { Field } from "../../parts/Field";
import { ProblemNote } from "../../parts/ProblemNote";
import { payloadOf } from "./draft";

interface PayloadDialogProps {
  title: string;
  description: string;
  /** the verb on the button */
  action: string;
  payload: JsonObject;
  /** `payload` is undefined when it was not changed */
  run: (payload: JsonObject | undefined) => Promise<Occurrence>;
  onClose: () => void;
  onDone: (occurrence: Occurrence) => void;
}

/** Starts something with a payload that can be changed first. */
export function PayloadDialog({ title, description, action, payload, run, onClose, onDone }: PayloadDialogProps) {
  const [given] = useState(() => printJson(payload));
  const [text, setText] = useState(given);
  const [unread, setUnread] = useState<FieldError[]>([]);
  const running = useMutation({ mutationFn: run, onSuccess: onDone });
  const refused = running.error instanceof Problem ? running.error.errors : [];
  const wrong = [...unread, ...refused].find((error) => error.field.replace(/^body\./, "").startsWith("payload"));

  function submit(): void {
    const errors: FieldError[] = [];
    const changed = text === given ? undefined : payloadOf(text, errors);
    setUnread(errors);
    if (errors.length === 0) running.mutate(changed);
  }

  return (
    <Dialog open onClose={onClose} title={title} description={description} keep>
      <form
        onSubmit={(event) => {
          event.preventDefault();
          submit();
        }}
      >
        <div className="dialog-body">
          <Field label="Payload" error={wrong?.message}>
            {(control) => (
              <textarea
                {...control}
                className="input"
                rows={8}
                value={text}
                spellCheck={false}
                onChange={(event) => setText(event.target.value)}
              />
            )}
          </Field>
          {running.isError && !wrong && <ProblemNote error={running.error} />}
        </div>
        <DialogFoot>
          <Button onClick={onClose}>Cancel</Button>
          <Button type="submit" look="solid" busy={running.isPending}>
            {action}
          </Button>
        </DialogFoot>
      </form>
    </Dialog>
  );
}
