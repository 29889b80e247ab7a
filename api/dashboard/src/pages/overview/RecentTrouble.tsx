import { useQuery } from "@tanstack/react-query";
import { Link } from "@tanstack/react-router";
import { queries } from "../../api/queries";
import type { Occurrence } from "../../api/types";
import { Panel } from "../../parts/Panel";
import { type Column, DataTable } from "../../parts/table/DataTable";
import { StateBadge } from "../../states/StateBadge";
import { TROUBLE } from "../../states/states";
import { Time } from "../../time/Time";
import { ErrorLine, Took, Why } from "../occurrences/OccurrenceTable";
import "../occurrences/occurrences.css";

const SHOWN = 8;

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
    id: "how",
    header: "State",
    role: "plain",
    cell: (row) => (
      <div className="occurrence-state">
        <StateBadge state={row.state} />
        <Why occurrence={row} />
        <ErrorLine occurrence={row} />
      </div>
    ),
  },
  { id: "due", header: "Due", cell: (row) => <Time at={row.scheduled_for} /> },
  { id: "took", header: "Took", align: "right", cell: (row) => <Took occurrence={row} /> },
];

/** What ended badly of late; nothing when nothing did. */
export function RecentTrouble() {
  const trouble = useQuery(queries.occurrences({ state: TROUBLE, limit: SHOWN }));
  const items = trouble.data?.items;
  if (!items || items.length === 0) return null;
  return (
    <Panel
      title="Last failures"
      className="last-failures"
      flush
      aside={
        <>
          <Link to="/dead-letters">Dead letters</Link>
          <Link to="/occurrences" search={{ state: [...TROUBLE] }}>
            All
          </Link>
        </>
      }
    >
      <DataTable
        label="Last failures"
        columns={COLUMNS}
        rows={items}
        idOf={(row) => String(row.id)}
        live
        empty={null}
      />
    </Panel>
  );
}
