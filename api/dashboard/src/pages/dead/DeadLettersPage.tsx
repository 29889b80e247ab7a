import { useQuery } from "@tanstack/react-query";
import { getRouteApi, Link } from "@tanstack/react-router";
import { useCallback, useMemo } from "react";
import { Problem } from "../../api/client";
import type { DeadLetter } from "../../api/operations";
import { type DeadLetterPageFilter, queries } from "../../api/queries";
import { useTitle } from "../../app/title";
import { useFilterChange } from "../../app/useFilterChange";
import { Empty } from "../../parts/Empty";
import { Moment } from "../../parts/Moment";
import { PageHead } from "../../parts/PageHead";
import { Pager } from "../../parts/Pager";
import { Panel } from "../../parts/Panel";
import { ProblemNote } from "../../parts/ProblemNote";
import { SearchBox } from "../../parts/SearchBox";
import { type Column, DataTable } from "../../parts/table/DataTable";
import { StateBadge } from "../../states/StateBadge";
import { Time } from "../../time/Time";
import { JobSearch } from "../occurrences/JobSearch";
import { BulkBar } from "./BulkBar";
import { isPicked, type Selection, useSelection, withRows } from "./selection";
import "../occurrences/occurrences.css";
import "./dead.css";

const route = getRouteApi("/dead-letters");

/** What failed for good and still waits to be requeued or discarded. */
export function DeadLettersPage() {
  useTitle("Dead letters");
  const { cursor, ...filter } = route.useSearch();
  const letters = useQuery(queries.deadLetters(cursor === undefined ? filter : { ...filter, cursor }));
  const [selection, select] = useSelection(filter);
  const rows = letters.data?.items;
  const noSuchJob = letters.error instanceof Problem && letters.error.status === 404;
  const filtered = Object.keys(filter).length > 0;
  const columns = useMemo(() => columnsWith(selection, select), [selection, select]);
  return (
    <div className="page">
      <PageHead title="Dead letters" sub="Failed for good, and neither requeued nor discarded yet." />
      <Filters filter={filter} />
      {letters.isError && !noSuchJob && <ProblemNote error={letters.error} retry={() => void letters.refetch()} />}
      {rows && (
        <BulkBar
          filter={filter}
          rows={rows}
          outdated={letters.isPlaceholderData}
          selection={selection}
          select={select}
          first={cursor === undefined}
          more={letters.data?.next_cursor != null || cursor !== undefined}
        />
      )}
      {(!letters.isError || rows || noSuchJob) && (
        <Panel flush className="dead-letters">
          <DataTable
            label="Dead letters"
            columns={columns}
            rows={noSuchJob ? [] : rows}
            idOf={(row) => String(row.id)}
            outdated={letters.isPlaceholderData}
            live={cursor === undefined}
            scope={JSON.stringify([filter, cursor])}
            empty={
              filtered || cursor ? (
                <Empty
                  title={noSuchJob ? "There is no job of this name" : "No dead letter matches"}
                  actions={
                    <Link to="/dead-letters" className="button button-plain">
                      Show all dead letters
                    </Link>
                  }
                />
              ) : (
                <Empty title="No dead letters">
                  What fails after its last attempt is kept here until it is requeued or discarded.
                </Empty>
              )
            }
          />
        </Panel>
      )}
      <Pager
        to="/dead-letters"
        filter={filter as Record<string, unknown>}
        first={cursor === undefined}
        next={letters.data?.next_cursor}
        nextLabel="Older"
      />
    </div>
  );
}

function Filters({ filter }: { filter: DeadLetterPageFilter }) {
  const change = useFilterChange<DeadLetterPageFilter>("/dead-letters");
  const bySearch = useCallback((text: string) => change({ search: text || undefined }), [change]);
  const byJob = useCallback((text: string) => change({ job: text || undefined }), [change]);
  const byType = useCallback((text: string) => change({ type: text || undefined }), [change]);
  return (
    <div className="filters filters-many">
      <SearchBox label="Search errors" value={filter.search ?? ""} onChange={bySearch} main />
      <JobSearch value={filter.job ?? ""} onChange={byJob} />
      <SearchBox label="Type" value={filter.type ?? ""} onChange={byType} />
      <Moment label="Since" value={filter.since} onChange={(since) => change({ since })} />
      <Moment label="Until" value={filter.until} onChange={(until) => change({ until })} />
    </div>
  );
}

function columnsWith(selection: Selection, select: (selection: Selection) => void): readonly Column<DeadLetter>[] {
  return [
    {
      id: "pick",
      header: "Select",
      role: "action",
      cell: (row) => (
        <label className="pick-place">
          <input
            type="checkbox"
            className="pick"
            aria-label={`Select occurrence ${row.id}`}
            checked={isPicked(selection, row)}
            disabled={"until" in selection}
            onChange={(event) => select(withRows(selection, [row], event.target.checked))}
          />
        </label>
      ),
    },
    {
      id: "what",
      header: "Job",
      role: "main",
      cell: (row) => (
        <div className="occurrence-job">
          <Link to="/occurrences/$id" params={{ id: String(row.id) }}>
            {row.job_name}
          </Link>
          <span className="quiet">
            {row.type} · {row.id}
          </span>
        </div>
      ),
    },
    {
      id: "error",
      header: "Error",
      role: "line",
      cell: (row) => (
        <div className="occurrence-state">
          <StateBadge state={row.state} />
          {row.error && (
            <span className="dead-error" title={row.error.message}>
              {row.error.type}: {row.error.message}
            </span>
          )}
        </div>
      ),
    },
    {
      id: "attempt",
      header: "Attempts",
      align: "right",
      cell: (row) => `${row.attempt} of ${row.max_attempts}`,
    },
    {
      id: "ended",
      header: "Ended",
      align: "right",
      cell: (row) => <Time at={row.finished_at ?? row.scheduled_for} />,
    },
  ];
}
