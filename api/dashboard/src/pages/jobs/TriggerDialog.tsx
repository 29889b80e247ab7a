import { useState } from "react";
import { commands } from "../../api/commands";
import type { FieldError, Job, Occurrence } from "../../api/types";
import { Field } from "../../parts/Field";
import { Segments } from "../../parts/Segments";
import { OWN_ZONE } from "../../time/format";
import { parseSpan } from "../../time/span";
import { PayloadDialog } from "./PayloadDialog";

interface TriggerDialogProps {
  job: Job;
  onClose: () => void;
  onDone: (occurrence: Occurrence) => void;
}

const WHEN = [
  { value: "now", label: "Now" },
  { value: "delay", label: "After a while" },
  { value: "at", label: "At a time" },
] as const;

type When = (typeof WHEN)[number]["value"];

/** Triggers a job with another payload, at another time, with another priority. */
export function TriggerDialog({ job, onClose, onDone }: TriggerDialogProps) {
  const [when, setWhen] = useState<When>("now");
  const [delay, setDelay] = useState("10m");
  const [at, setAt] = useState("");
  const [priority, setPriority] = useState("");

  function check(): FieldError[] {
    const errors: FieldError[] = [];
    if (when === "delay" && parseSpan(delay) === undefined) {
      errors.push({ field: "delay", message: "is not a time span such as 30s, 5m or 1h 30m" });
    }
    if (when === "at" && Number.isNaN(Date.parse(at))) errors.push({ field: "at", message: "is needed" });
    if (priority.trim() !== "" && !/^\d$/.test(priority.trim())) {
      errors.push({ field: "priority", message: "is not a number from 0 to 9" });
    }
    return errors;
  }

  return (
    <PayloadDialog
      title={`Trigger ${job.name}`}
      description="Makes one occurrence. The job itself stays as it is."
      action={when === "now" ? "Trigger now" : "Trigger later"}
      type={job.type}
      payload={job.payload}
      check={check}
      fields={/^(delay|at|priority)$/}
      run={(payload) =>
        commands.triggerJob(job.id, {
          payload,
          delay: when === "delay" ? parseSpan(delay) : undefined,
          // The browser's own zone, as the label says; sent as an instant.
          at: when === "at" ? new Date(at).toISOString() : undefined,
          priority: priority.trim() === "" ? undefined : Number(priority),
        })
      }
      onClose={onClose}
      onDone={onDone}
    >
      {(problem) => (
        <>
          <div className="form-part">
            <span className="field-label">When</span>
            <Segments label="When" value={when} options={WHEN} onChange={setWhen} />
          </div>
          <div className="form-row">
            {when === "delay" && (
              <Field label="After" error={problem("delay")}>
                {(control) => (
                  <input
                    {...control}
                    className="input"
                    value={delay}
                    placeholder="10m"
                    autoComplete="off"
                    onChange={(event) => setDelay(event.target.value)}
                  />
                )}
              </Field>
            )}
            {when === "at" && (
              <Field label="At" error={problem("at")} hint={`On the clock of this machine: ${OWN_ZONE}.`}>
                {(control) => (
                  <input
                    {...control}
                    type="datetime-local"
                    step={1}
                    className="input"
                    value={at}
                    onChange={(event) => setAt(event.target.value)}
                  />
                )}
              </Field>
            )}
            <Field label="Priority" error={problem("priority")}>
              {(control) => (
                <input
                  {...control}
                  className="input"
                  inputMode="numeric"
                  value={priority}
                  placeholder={`the job's: ${job.priority}`}
                  autoComplete="off"
                  onChange={(event) => setPriority(event.target.value)}
                />
              )}
            </Field>
          </div>
        </>
      )}
    </PayloadDialog>
  );
}
