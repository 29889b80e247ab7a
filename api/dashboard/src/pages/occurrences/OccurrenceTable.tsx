import { Link } from "@tanstack/react-router";
import { type ReactNode, useMemo } from "react";
import type { Occurrence } from "../../api/types";
import { ProgressBar } from "../../parts/Progress";
import { type Column, DataTable } from "../../parts/table/DataTable";
import { StateBadge } from "../../states/StateBadge";
import { isRunning, WITH_ERROR } from "../../states/states";
import { seconds } from "../../time/format";
import { Elapsed, Time } from "../../time/Time";
import "./occurrences.css";

const ID: Column<Occurrence> = {
  id: "id",
  header: "Occurrence",
  role: "main",
  cell: (row) => (
    <Link to="/occurrences/$id" params={{ id: String(row.id) }} className="num">
      {row.id}
    </Link>
  ),
};

const JOB: Column<Occurrence> = {
  id: "job",
  header: "Job",
  role: "main",
  cell: (row) => (
    <div className="occurrence-job">
      <Link to="/jobs/$id" params={{ id: String(row.job_id) }}>
        {row.job_name}
      </Link>
      <span className="quiet">{row.type}</span>
    </div>
  ),
};

const ORIGIN = { schedule: "", manual: "by hand", requeue: "requeued", backfill: "backfill" } as const;

const REST: readonly Column<Occurrence>[] = [
  { id: "state", header: "State", role: "plain", cell: (row) => <StateCell occurrence={row} /> },
  {
    id: "due",
    header: "Due",
    cell: (row) => (
      <span>
        <Time at={row.scheduled_for} />
        {row.origin !== "schedule" && <span className="occurrence-origin">{ORIGIN[row.origin]}</span>}
      </span>
    ),
  },
  { id: "took", header: "Took", align: "right", cell: (row) => <Took occurrence={row} /> },
  {
    id: "attempt",
    header: "Attempt",
    role: "wide",
    align: "right",
    cell: (row) =>
      row.attempt === 0 ? (
        <span className="quiet">–</span>
      ) : (
        <span className={row.attempt > 1 ? undefined : "quiet"}>
          {row.attempt} of {row.max_attempts}
        </span>
      ),
  },
  {
    id: "worker",
    header: "Worker",
    role: "wide",
    cell: (row) => <span className="quiet">{row.worker_name}</span>,
  },
];

/** The columns of a table of occurrences, with or without their job. */
export function useOccurrenceColumns(withJob: boolean): readonly Column<Occurrence>[] {
  return useMemo(() => (withJob ? [{ ...ID, role: "corner" as const }, JOB, ...REST] : [ID, ...REST]), [withJob]);
}

interface OccurrenceTableProps {
  columns: readonly Column<Occurrence>[];
  rows: readonly Occurrence[] | undefined;
  empty: ReactNode;
  outdated?: boolean;
  live?: boolean;
  scope?: string;
}

/** Occurrences, newest first. */
export function OccurrenceTable({
  columns,
  rows,
  empty,
  outdated = false,
  live = true,
  scope = "",
}: OccurrenceTableProps) {
  return (
    <DataTable
      label="Occurrences"
      columns={columns}
      rows={rows}
      idOf={(row) => String(row.id)}
      empty={empty}
      outdated={outdated}
      live={live}
      scope={scope}
    />
  );
}

function StateCell({ occurrence }: { occurrence: Occurrence }) {
  return (
    <div className="occurrence-state">
      <StateBadge state={occurrence.state} />
      {isRunning(occurrence.state) && occurrence.progress && <ProgressBar progress={occurrence.progress} />}
      <Why occurrence={occurrence} />
      <ErrorLine occurrence={occurrence} />
    </div>
  );
}

/** What went wrong, in a line, while it stands for what became of the occurrence. */
export function ErrorLine({ occurrence: { state, error } }: { occurrence: Occurrence }) {
  if (!error || !WITH_ERROR.includes(state)) return null;
  return (
    <span className="occurrence-error" title={error.message}>
      {error.type}: {error.message}
    </span>
  );
}

/** Why an occurrence is in its state, with a link to the one that is in the way. */
export function Why({ occurrence }: { occurrence: Occurrence }) {
  const { state, reason, blocker_id: blocker, missed_count: missed, retry_at: retryAt, resolution } = occurrence;
  const words: ReactNode[] = [];
  if (reason) words.push(reason.replaceAll("_", " "));
  if (missed !== null && missed > 1) words.push(`${missed} fire times`);
  if (resolution) words.push(resolution);
  if (state === "retrying" && retryAt) words.push(<Time key="retry" at={retryAt} />);
  if (blocker !== null && (state === "waiting" || state === "skipped")) {
    words.push(
      <Link key="blocker" to="/occurrences/$id" params={{ id: String(blocker) }}>
        {state === "waiting" ? "behind" : "because of"} {blocker}
      </Link>,
    );
  }
  if (words.length === 0) return null;
  return (
    <span className="occurrence-why">
      {words.map((word, index) => (
        // biome-ignore lint/suspicious/noArrayIndexKey: the order is fixed
        <span key={index}>{word}</span>
      ))}
    </span>
  );
}

/** How long it ran, or runs. */
export function Took({ occurrence }: { occurrence: Occurrence }) {
  if (occurrence.duration !== null && occurrence.finished_at)
    return <span className="num nowrap">{seconds(occurrence.duration)}</span>;
  if (isRunning(occurrence.state) && occurrence.started_at) return <Elapsed since={occurrence.started_at} />;
  return <span className="quiet">–</span>;
}
