import { useMutation } from "@tanstack/react-query";
import { type ReactNode, useId, useState } from "react";
import { Button } from "./Button";
import { Dialog, DialogFoot } from "./Dialog";
import { Form } from "./Form";
import { ProblemNote } from "./ProblemNote";

interface ConfirmProps {
  open: boolean;
  onClose: () => void;
  title: string;
  children: ReactNode;
  /** the verb on the button */
  action: string;
  look?: "solid" | "danger";
  /** label of the reason to ask for; it may stay empty */
  reason?: string;
  run: (reason: string) => Promise<unknown>;
}

/** Asks before something is done, with a reason where one is kept; stays open with the API's words when it fails. */
export function Confirm({ open, onClose, title, children, action, look = "danger", reason, run }: ConfirmProps) {
  return (
    <Dialog open={open} onClose={onClose} title={title} description={children}>
      <ConfirmForm action={action} look={look} reason={reason} run={run} onClose={onClose} />
    </Dialog>
  );
}

interface FormProps extends Required<Pick<ConfirmProps, "action" | "look" | "run" | "onClose">> {
  reason: string | undefined;
}

function ConfirmForm({ action, look, reason, run, onClose }: FormProps) {
  const id = useId();
  const [text, setText] = useState("");
  const running = useMutation({ mutationFn: () => run(text.trim()), onSuccess: onClose });
  return (
    <Form onSubmit={() => running.mutate()} refused={running.error}>
      <div className="dialog-body">
        {reason && (
          <div className="field">
            <label htmlFor={id}>
              {reason} <span className="quiet">(optional)</span>
            </label>
            <input
              id={id}
              className="input"
              value={text}
              maxLength={500}
              onChange={(event) => setText(event.target.value)}
            />
          </div>
        )}
        {running.isError && <ProblemNote error={running.error} />}
      </div>
      <DialogFoot>
        <Button onClick={onClose}>Keep as it is</Button>
        <Button type="submit" look={look} busy={running.isPending}>
          {action}
        </Button>
      </DialogFoot>
    </Form>
  );
}
