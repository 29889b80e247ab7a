import { useQuery } from "@tanstack/react-query";
import { Link } from "@tanstack/react-router";
import { queries } from "../../api/queries";
import type { Occurrence } from "../../api/types";
import { Empty } from "../../parts/Empty";
import { Panel } from "../../parts/Panel";
import { ProblemNote } from "../../parts/ProblemNote";
import { ProgressBar } from "../../parts/Progress";
import { type Column, DataTable } from "../../parts/table/DataTable";
import { StateBadge } from "../../states/StateBadge";
import { Took } from "../occurrences/OccurrenceTable";
import "../occurrences/occurrences.css";

const SHOWN = 20;

const COLUMNS: readonly Column<Occurrence>[] = [
  {
    id: "what",
    header: "Job",
    role: "main",
    cell: (row) => (
      <div className="occurrence-job">
        <Link to="/occurrences/$id" params={{ id: String(row.id) }}>
          {row.job_name}
        </Link>
        <span className="quiet">{row.type}</span>
      </div>
    ),
  },
  {
    id: "progress",
    header: "Progress",
    role: "line",
    cell: (row) => (row.progress ? <ProgressBar progress={row.progress} /> : <StateBadge state={row.state} />),
  },
  { id: "for", header: "For", align: "right", cell: (row) => <Took occurrence={row} /> },
  { id: "on", header: "Worker", cell: (row) => <span className="quiet">{row.worker_name}</span> },
];

/** What workers are running. */
export function RunningNow({ noJobs }: { noJobs: boolean }) {
  const running = useQuery(queries.occurrences({ state: ["running", "cancelling"], limit: SHOWN }));
  const more = running.data?.next_cursor != null;
  return (
    <Panel
      title="Running now"
      flush
      aside={
        more && (
          <Link to="/occurrences" search={{ state: ["running", "cancelling"] }}>
            All
          </Link>
        )
      }
    >
      {running.isError ? (
        <div className="panel-problem">
          <ProblemNote error={running.error} retry={() => void running.refetch()} />
        </div>
      ) : (
        <div className="running-now">
          <DataTable
            label="Running now"
            columns={COLUMNS}
            rows={running.data?.items}
            idOf={(row) => String(row.id)}
            live
            empty={
              noJobs ? (
                <Empty
                  title="No jobs yet"
                  actions={
                    <Link to="/jobs" className="button button-solid">
                      Make the first job
                    </Link>
                  }
                >
                  Define what runs and when; it appears here when its time comes.
                </Empty>
              ) : (
                <Empty title="Nothing is running" />
              )
            }
          />
        </div>
      )}
    </Panel>
  );
}
