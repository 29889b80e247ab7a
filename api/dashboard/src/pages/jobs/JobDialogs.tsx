import { useQueryClient } from "@tanstack/react-query";
import { Link, useNavigate } from "@tanstack/react-router";
import { createContext, type ReactNode, useCallback, useContext, useMemo, useState } from "react";
import { Problem } from "../../api/client";
import { commands } from "../../api/commands";
import type { Job } from "../../api/types";
import { Confirm } from "../../parts/Confirm";
import { notify } from "../../parts/Notices";
import { freeRows } from "../../parts/table/useSteadyRows";
import { BackfillDialog } from "./BackfillDialog";
import { copyOf } from "./draft";
import { JobDialog } from "./JobDialog";
import { TriggerDialog } from "./TriggerDialog";

type Open = { kind: "create" } | { kind: "edit" | "copy" | "pause" | "delete" | "trigger" | "backfill"; job: Job };

interface JobActions {
  open: (dialog: Open) => void;
  triggerNow: (job: Job) => void;
  resume: (job: Job) => void;
}

const Context = createContext<JobActions | null>(null);

/** What can be done to jobs on the page inside. */
export function useJobActions(): JobActions {
  const actions = useContext(Context);
  if (!actions) throw new Error("no JobDialogs above");
  return actions;
}

/** Whether a trigger was refused for its payload. */
export function lacksPayload(error: unknown): boolean {
  return error instanceof Problem && error.errors.some((each) => /^(body\.)?payload\b/.test(each.field));
}

/** Holds the dialogs about jobs: one open at a time, however many rows there are. */
export function JobDialogs({ children }: { children: ReactNode }) {
  const client = useQueryClient();
  const navigate = useNavigate();
  const [dialog, open] = useState<Open | null>(null);
  const close = useCallback(() => open(null), []);

  const refetch = useCallback(() => {
    freeRows();
    for (const name of ["jobs", "job", "overview", "occurrences"]) void client.invalidateQueries({ queryKey: [name] });
  }, [client]);

  const attempt = useCallback(
    async (action: Promise<unknown>, said: (answer: never) => ReactNode, instead?: Open) => {
      try {
        notify(said((await action) as never));
      } catch (error) {
        notify(error instanceof Error ? error.message : String(error), "danger");
        // The job's own payload does not do: ask for one.
        if (instead && lacksPayload(error)) open(instead);
      }
      refetch();
    },
    [refetch],
  );

  const actions = useMemo<JobActions>(
    () => ({
      open,
      triggerNow: (job) =>
        void attempt(
          commands.triggerJob(job.id),
          (started: { id: number; state: string }) => (
            <>
              {started.state === "skipped" ? "Skipped: " : "Triggered: "}
              <Link to="/occurrences/$id" params={{ id: String(started.id) }}>
                occurrence {started.id}
              </Link>{" "}
              of {job.name}
            </>
          ),
          { kind: "trigger", job },
        ),
      resume: (job) => void attempt(commands.resumeJob(job.id), () => `${job.name} goes on`),
    }),
    [attempt],
  );

  function toOccurrence(id: number): void {
    close();
    void navigate({ to: "/occurrences/$id", params: { id: String(id) } });
  }

  return (
    <Context value={actions}>
      {children}
      {dialog?.kind === "create" && (
        <JobDialog
          onClose={close}
          onDone={(job) => {
            close();
            void navigate({ to: "/jobs/$id", params: { id: String(job.id) } });
          }}
        />
      )}
      {dialog?.kind === "copy" && (
        <JobDialog
          from={copyOf(dialog.job)}
          onClose={close}
          onDone={(job) => {
            close();
            void navigate({ to: "/jobs/$id", params: { id: String(job.id) } });
          }}
        />
      )}
      {dialog?.kind === "edit" && (
        <JobDialog
          job={dialog.job}
          onClose={close}
          onDone={(job) => {
            close();
            notify(`${job.name} is saved`);
          }}
        />
      )}
      {dialog?.kind === "trigger" && (
        <TriggerDialog job={dialog.job} onClose={close} onDone={(occurrence) => toOccurrence(occurrence.id)} />
      )}
      {dialog?.kind === "backfill" && (
        <BackfillDialog
          job={dialog.job}
          onClose={close}
          onDone={() => {
            close();
            void client.invalidateQueries({ queryKey: ["backfills"] });
            void navigate({ to: "/jobs/$id", params: { id: String(dialog.job.id) } });
          }}
        />
      )}
      <Confirm
        open={dialog?.kind === "pause"}
        onClose={close}
        title={dialog?.kind === "pause" ? `Pause ${dialog.job.name}?` : ""}
        action="Pause"
        look="solid"
        reason="Reason"
        run={async (reason) => {
          if (dialog?.kind === "pause") await commands.pauseJob(dialog.job.id, reason);
          refetch();
        }}
      >
        It will not be due until it is resumed. What already runs goes on.
      </Confirm>
      <Confirm
        open={dialog?.kind === "delete"}
        onClose={close}
        title={dialog?.kind === "delete" ? `Delete ${dialog.job.name}?` : ""}
        action="Delete"
        run={async () => {
          if (dialog?.kind !== "delete") return;
          await commands.deleteJob(dialog.job.id);
          refetch();
          notify(`${dialog.job.name} is deleted`);
          void navigate({ to: "/jobs" });
        }}
      >
        It will not be due again. Its occurrences so far stay in the history.
        {dialog?.kind === "delete" && dialog.job.source === "code" && (
          <p>
            Its handler declares it in code: it comes back with the next worker that starts. To stop it, pause it
            instead.
          </p>
        )}
      </Confirm>
    </Context>
  );
}
