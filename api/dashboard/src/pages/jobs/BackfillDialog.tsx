import { useMutation, useQuery } from "@tanstack/react-query";
import { useState } from "react";
import { Problem } from "../../api/client";
import { commands } from "../../api/commands";
import { printJson } from "../../api/json";
import type { Backfill } from "../../api/operations";
import { queries } from "../../api/queries";
import type { FieldError, Job, JsonObject } from "../../api/types";
import { Button } from "../../parts/Button";
import { Dialog, DialogFoot } from "../../parts/Dialog";
import { Field } from "../../parts/Field";
import { Form } from "../../parts/Form";
import { ProblemNote } from "../../parts/ProblemNote";
import { Segments } from "../../parts/Segments";
import { PayloadEditor } from "../../payload/PayloadEditor";
import { useHandler } from "../../payload/useHandler";
import { count, OWN_ZONE } from "../../time/format";
import { splitLocal } from "../../time/wall";
import { payloadOf, withSeconds } from "./draft";
import { FormSection } from "./FormSection";
import "./JobForm.css";
import "./jobs.css";

interface BackfillDialogProps {
  job: Job;
  onClose: () => void;
  onDone: (backfill: Backfill) => void;
}

const OVERLAP = [
  { value: "queue", label: "One after the other" },
  { value: "allow", label: "All at once" },
  { value: "skip", label: "Skip" },
] as const;

const MEANING = {
  queue: "In a line of their own, beside the job's usual runs, the oldest first.",
  allow: "As fast as workers take them, beside the job's usual runs.",
  skip: "What comes while another of them runs is skipped.",
} as const;

/** Runs a job for fire times of the past, after showing how many there are. */
export function BackfillDialog({ job, onClose, onDone }: BackfillDialogProps) {
  const [start, setStart] = useState("");
  const [end, setEnd] = useState("");
  const [concurrency, setConcurrency] = useState<keyof typeof MEANING>("queue");
  const [places, setPlaces] = useState("");
  const [given] = useState(() => printJson(job.payload));
  const [payload, setPayload] = useState(given);
  const [unread, setUnread] = useState<FieldError[]>([]);
  const handler = useHandler(job.type);
  const running = useMutation({
    mutationFn: (other: JsonObject | undefined) =>
      commands.startBackfill(job.id, {
        payload: other,
        start_at: moment(start),
        end_at: moment(end),
        concurrency,
        max_concurrent: places.trim() === "" ? undefined : Number(places),
      }),
    onSuccess: onDone,
  });
  const zone = job.trigger.kind === "cron" ? (job.trigger.timezone ?? "UTC") : OWN_ZONE;
  const refused = running.error instanceof Problem ? running.error.errors : [];
  const errors = [...unread, ...refused].map((error) => ({ ...error, field: error.field.replace(/^body\./, "") }));
  const problem = (field: string) => errors.find((error) => error.field === field)?.message;
  const shown = errors.some((error) => /^(start_at|end_at|concurrency|max_concurrent|payload)\b/.test(error.field));

  /** An interval has no zone of its own: its times are this machine's, sent as instants. */
  function moment(text: string): string {
    return job.trigger.kind === "cron" ? withSeconds(text) : new Date(text).toISOString();
  }
  const ready = start !== "" && end !== "" && start <= end;

  return (
    <Dialog
      open
      onClose={onClose}
      title={`Backfill ${job.name}`}
      description="Makes an occurrence for every fire time in a range of the past that has none yet."
      size="medium"
      keep
    >
      <Form
        onSubmit={() => {
          const found: FieldError[] = [];
          const other = payload === given ? undefined : payloadOf(payload, found);
          setUnread(found);
          if (found.length === 0) running.mutate(other);
        }}
        refused={unread.length > 0 ? unread : running.error}
      >
        <div className="dialog-body">
          <div className="form-row">
            {(
              [
                ["start_at", "From", start, setStart],
                ["end_at", "To", end, setEnd],
              ] as const
            ).map(([name, label, value, set]) => (
              <Field key={name} label={label} error={problem(name)}>
                {(control) => (
                  <input
                    {...control}
                    type="datetime-local"
                    step={1}
                    className="input"
                    value={value}
                    onChange={(event) => {
                      set(event.target.value);
                      if (running.isError) running.reset();
                    }}
                  />
                )}
              </Field>
            ))}
          </div>
          <p className="field-hint">Both moments belong to it. Times are in {zone}.</p>
          <div className="form-part">
            <span className="field-label">How they run</span>
            <Segments label="How they run" value={concurrency} options={OVERLAP} onChange={setConcurrency} />
            <p className="field-hint">{problem("concurrency") ?? MEANING[concurrency]}</p>
            {concurrency !== "allow" && (
              <div className="form-row">
                <Field label="At once, at most" error={problem("max_concurrent")}>
                  {(control) => (
                    <input
                      {...control}
                      className="input"
                      inputMode="numeric"
                      value={places}
                      placeholder="1"
                      autoComplete="off"
                      onChange={(event) => setPlaces(event.target.value)}
                    />
                  )}
                </Field>
              </div>
            )}
          </div>
          <FormSection
            title="Payload"
            now={payload === given ? "the job's" : "another one"}
            fields={/^payload\b/}
            errors={errors}
          >
            <PayloadEditor
              text={payload}
              onChange={setPayload}
              schema={handler?.schema ?? undefined}
              errors={errors.filter((error) => /^payload\b/.test(error.field))}
            />
          </FormSection>
          <div className="backfill-preview" aria-live="polite">
            {ready ? (
              <FireCount job={job} start={moment(start)} end={moment(end)} />
            ) : (
              <p className="field-hint">
                {start !== "" && end !== "" ? "It ends before it begins." : "Pick a range to see how many there are."}
              </p>
            )}
          </div>
          {running.isError && !shown && <ProblemNote error={running.error} />}
        </div>
        <DialogFoot>
          <Button onClick={onClose}>Cancel</Button>
          <Button type="submit" look="solid" busy={running.isPending} disabled={!ready}>
            Start backfill
          </Button>
        </DialogFoot>
      </Form>
    </Dialog>
  );
}

function FireCount({ job, start, end }: { job: Job; start: string; end: string }) {
  const fires = useQuery(queries.fireCount(job.trigger, start, end));
  if (fires.isError) return <ProblemNote error={fires.error} />;
  if (!fires.data) return <p className="field-hint">…</p>;
  const { within, more } = fires.data;
  const [first] = within;
  const last = within.at(-1);
  if (!first || !last) return <p>No fire time lies in it.</p>;
  return (
    <>
      <p>
        <strong className="num">
          {more ? "More than " : ""}
          {count(within.length)} {within.length === 1 ? "fire time" : "fire times"}
        </strong>
      </p>
      <p className="field-hint num">
        {within.length === 1
          ? said(first.local)
          : more
            ? `the first ${said(first.local)}`
            : `from ${said(first.local)} to ${said(last.local)}`}
      </p>
    </>
  );
}

function said(local: string): string {
  const { day, time, offset } = splitLocal(local);
  return `${day}, ${time} ${offset}`;
}
