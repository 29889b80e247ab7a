import { useMutation, useQueryClient } from "@tanstack/react-query";
import { useState } from "react";
import { Problem, request } from "../../api/client";
import { commands } from "../../api/commands";
import type { FieldError, Job } from "../../api/types";
import { Button } from "../../parts/Button";
import { Dialog, DialogFoot } from "../../parts/Dialog";
import { Form } from "../../parts/Form";
import { ProblemNote } from "../../parts/ProblemNote";
import { parseSpan } from "../../time/span";
import { changesBetween, type Draft, draftOf, EMPTY, read, rebased, triggerOf } from "./draft";
import { JobForm } from "./JobForm";
import { FireTimeList, NextClockChange, Schedule, usePreview } from "./Preview";

interface JobDialogProps {
  /** the job to change; undefined makes a new one */
  job?: Job;
  /** what a new one starts from */
  from?: Draft;
  onClose: () => void;
  onDone: (job: Job) => void;
}

/** Makes a job, or changes one; shows when it would be due while it is written. */
export function JobDialog({ job, from, onClose, onDone }: JobDialogProps) {
  return (
    <Dialog open onClose={onClose} title={job ? `Edit ${job.name}` : "New job"} size="large" keep>
      <JobEditor {...(job ? { job } : {})} {...(from ? { from } : {})} onClose={onClose} onDone={onDone} />
    </Dialog>
  );
}

function JobEditor({ job: given, from, onClose, onDone }: JobDialogProps) {
  const client = useQueryClient();
  // The job as it was when the form was filled from it.
  const [job, setJob] = useState(given);
  const [before, setBefore] = useState<Draft>(() => (job ? draftOf(job) : (from ?? EMPTY)));
  const [draft, setDraft] = useState(before);
  const [unread, setUnread] = useState<FieldError[]>([]);
  const trigger = triggerOf(draft);
  const preview = usePreview(trigger);
  const zone = trigger && "timezone" in trigger ? trigger.timezone : undefined;
  // The server is asked about the trigger alone; how often it may still fire is known here.
  const left = /^\d+$/.test(draft.maxRuns.trim()) ? Math.max(0, Number(draft.maxRuns) - (job?.runs ?? 0)) : undefined;
  const times = preview.times?.slice(0, left);

  const saving = useMutation({
    mutationFn: (definition: Parameters<typeof commands.createJob>[0]) =>
      job ? commands.changeJob(job.id, job.version, definition) : commands.createJob(definition),
    onSuccess: (saved) => {
      client.setQueryData(["job", String(saved.id)], saved);
      void client.invalidateQueries({ queryKey: ["jobs"] });
      void client.invalidateQueries({ queryKey: ["job", String(saved.id)] });
      onDone(saved);
    },
  });
  /** Another user has changed the job: take that into the form, and keep what was typed. */
  const rereading = useMutation({
    mutationFn: (id: number) => request<Job>(`/jobs/${id}`),
    onSuccess: (fresh) => {
      setDraft(rebased(draft, before, draftOf(fresh)));
      setBefore(draftOf(fresh));
      setJob(fresh);
      saving.reset();
    },
  });
  const overtaken = job !== undefined && saving.error instanceof Problem && [409, 412].includes(saving.error.status);
  const refused = saving.error instanceof Problem ? saving.error.errors : [];
  const errors = [...unread, ...refused, ...preview.errors].map((error) => ({
    ...error,
    field: fieldName(error.field),
  }));

  function submit(): void {
    const { definition, errors } = job ? changesBetween(before, draft) : read(draft);
    setUnread(errors);
    if (errors.length > 0) saving.reset();
    else if (job && Object.keys(definition).length === 0) onClose();
    else saving.mutate(definition);
  }

  return (
    <Form onSubmit={submit} refused={unread.length > 0 ? unread : saving.error}>
      <div className="job-dialog-body">
        <div className="job-dialog-form">
          {saving.isError && refused.every((error) => !isShown(fieldName(error.field))) && (
            <div className="job-dialog-problem">
              <ProblemNote error={saving.error} />
              {overtaken && (
                <p className="job-dialog-overtaken">
                  What you typed is still here.{" "}
                  <Button size="small" busy={rereading.isPending} onClick={() => rereading.mutate(job.id)}>
                    Read it again and keep mine
                  </Button>
                </p>
              )}
              {rereading.isError && <ProblemNote error={rereading.error} />}
            </div>
          )}
          {job?.source === "code" && (
            <p className="field-hint job-dialog-code">
              Its handler declares this job in code. What you change here stays until that code changes.
            </p>
          )}
          <JobForm
            draft={draft}
            change={(changes) => {
              setDraft({ ...draft, ...changes });
              setUnread([]);
              if (saving.isError) saving.reset();
            }}
            errors={errors}
            problem={(field) => errors.find((error) => error.field === field)?.message}
          />
        </div>
        <aside className="job-dialog-side" aria-label="Next fire times" aria-live="polite">
          <h3>Next fire times{zone && <span className="quiet"> in {zone}</span>}</h3>
          {times && times.length > 0 ? (
            <>
              {preview.said && <Schedule said={preview.said} />}
              <FireTimeList times={times} faded={preview.behind} />
              {preview.said?.next_clock_change && <NextClockChange change={preview.said.next_clock_change} />}
              {spread(draft)}
            </>
          ) : (
            <p className="field-hint">{hint(draft, preview)}</p>
          )}
        </aside>
      </div>
      <DialogFoot>
        <Button onClick={onClose}>Cancel</Button>
        <Button type="submit" look="solid" busy={saving.isPending}>
          {job ? "Save" : "Create job"}
        </Button>
      </DialogFoot>
    </Form>
  );
}

const SHOWN =
  /^(name|type|payload(\..+)?|tags|description|max_concurrent|max_waiting|concurrency_key|priority|disable_after|catch_up_window|timeout|max_runs|retry\.\w+|trigger|trigger\.(expression|timezone|every|at|start_at|end_at|jitter))$/;

/** Whether the form has a place for what is wrong with a field. */
function isShown(field: string): boolean {
  return SHOWN.test(field);
}

/** Names as the API gives them for a body or for the trigger alone, brought to one form. */
function fieldName(field: string): string {
  const name = field.replace(/^body\./, "");
  return /^(expression|timezone|every|at|start_at|end_at|jitter)$/.test(name) ? `trigger.${name}` : name;
}

/** Says that fire times are only the earliest, where there is jitter. */
function spread(draft: Draft) {
  const jitter = draft.jitter.trim();
  return jitter !== "" && parseSpan(jitter) ? (
    <p className="field-hint job-dialog-spread">Each of them up to {jitter} later.</p>
  ) : null;
}

function hint(draft: Draft, preview: ReturnType<typeof usePreview>): string {
  if (draft.kind === "manual") return "None: it runs when it is triggered.";
  if (preview.failure) {
    const problem = preview.failure instanceof Problem ? preview.failure : undefined;
    return problem && problem.errors.length > 0
      ? "They appear when the schedule can be read."
      : preview.failure.message;
  }
  if (preview.times) return "It would never be due again.";
  return {
    cron: "Write an expression to see them.",
    interval: "Say how often to see them.",
    once: "Pick a time to see it.",
  }[draft.kind];
}
