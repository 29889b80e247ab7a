import { useMutation } from "@tanstack/react-query";
import { type ReactNode, useState } from "react";
import { Problem } from "../../api/client";
import { printJson } from "../../api/json";
import type { FieldError, JsonObject } from "../../api/types";
import { Button } from "../../parts/Button";
import { Dialog, DialogFoot } from "../../parts/Dialog";
import { Form } from "../../parts/Form";
import { ProblemNote } from "../../parts/ProblemNote";
import { PayloadEditor } from "../../payload/PayloadEditor";
import { useHandler } from "../../payload/useHandler";
import { payloadOf } from "./draft";

interface PayloadDialogProps<Answer> {
  title: string;
  description: string;
  /** the verb on the button */
  action: string;
  /** the job type, which says what the handler takes */
  type: string;
  payload: JsonObject;
  /** `payload` is undefined when it was not changed */
  run: (payload: JsonObject | undefined) => Promise<Answer>;
  /** what of the other fields cannot be read */
  check?: () => FieldError[];
  /** the API's names of the other fields */
  fields?: RegExp;
  onClose: () => void;
  onDone: (answer: Answer) => void;
  /** other fields, above the payload */
  children?: (problem: (field: string) => string | undefined) => ReactNode;
}

const NONE = /^$/;

/** Starts something with a payload that can be changed first. */
export function PayloadDialog<Answer>(props: PayloadDialogProps<Answer>) {
  const { title, description, action, type, payload, run, check, fields = NONE, onClose, onDone, children } = props;
  const [given] = useState(() => printJson(payload));
  const [text, setText] = useState(given);
  const [unread, setUnread] = useState<FieldError[]>([]);
  const handler = useHandler(type);
  const running = useMutation({ mutationFn: run, onSuccess: onDone });
  const refused = running.error instanceof Problem ? running.error.errors : [];
  const errors = [...unread, ...refused].map((error) => ({ ...error, field: error.field.replace(/^body\./, "") }));
  const shown = (field: string) => /^payload\b/.test(field) || fields.test(field);

  function submit(): void {
    const found: FieldError[] = check?.() ?? [];
    const changed = text === given ? undefined : payloadOf(text, found);
    setUnread(found);
    if (found.length === 0) running.mutate(changed);
  }

  return (
    <Dialog open onClose={onClose} title={title} description={description} size="medium" keep>
      <Form onSubmit={submit} refused={unread.length > 0 ? unread : running.error}>
        <div className="dialog-body">
          {children?.((field) => errors.find((error) => error.field === field)?.message)}
          <PayloadEditor
            text={text}
            onChange={(changed) => {
              setText(changed);
              setUnread([]);
              if (running.isError) running.reset();
            }}
            schema={handler?.schema ?? undefined}
            errors={errors.filter((error) => /^payload\b/.test(error.field))}
            rows={8}
          />
          {running.isError && !errors.some((error) => shown(error.field)) && <ProblemNote error={running.error} />}
        </div>
        <DialogFoot>
          <Button onClick={onClose}>Cancel</Button>
          <Button type="submit" look="solid" busy={running.isPending}>
            {action}
          </Button>
        </DialogFoot>
      </Form>
    </Dialog>
  );
}
