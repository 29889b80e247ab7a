import { useQuery } from "@tanstack/react-query";
import { getRouteApi, Link } from "@tanstack/react-router";
import { useCallback } from "react";
import { Problem } from "../../api/client";
import { type OccurrenceFilter, queries } from "../../api/queries";
import type { State } from "../../api/types";
import { useTitle } from "../../app/title";
import { useFilterChange } from "../../app/useFilterChange";
import { Empty } from "../../parts/Empty";
import { Moment } from "../../parts/Moment";
import { PageHead } from "../../parts/PageHead";
import { Pager } from "../../parts/Pager";
import { Panel } from "../../parts/Panel";
import { ProblemNote } from "../../parts/ProblemNote";
import { SearchBox } from "../../parts/SearchBox";
import { FilterTag } from "../../parts/Tag";
import { count } from "../../time/format";
import { JobSearch } from "./JobSearch";
import { OccurrenceTable, useOccurrenceColumns } from "./OccurrenceTable";
import { StateFilter } from "./StateFilter";
import "./occurrences.css";

const route = getRouteApi("/occurrences");

/** Every occurrence that is kept, newest first. */
export function OccurrencesPage() {
  useTitle("Occurrences");
  const filter = route.useSearch();
  const occurrences = useQuery(queries.occurrences(filter));
  const columns = useOccurrenceColumns(true);
  const noSuchJob = occurrences.error instanceof Problem && occurrences.error.status === 404;
  const lookedAt = occurrences.data?.looked_at;
  const { cursor, ...rest } = filter;
  const filtered = Object.keys(rest).length > 0;
  const change = useFilterChange<OccurrenceFilter>("/occurrences");
  const byJob = useCallback((text: string) => change({ job: text || undefined }), [change]);
  const byType = useCallback((text: string) => change({ type: text || undefined }), [change]);
  const byError = useCallback((text: string) => change({ error: text || undefined }), [change]);
  const byState = useCallback(
    (state: readonly State[]) => change({ state: state.length > 0 ? state : undefined }),
    [change],
  );
  return (
    <div className="page">
      <PageHead title="Occurrences" />
      <div className="filters filters-many">
        <JobSearch value={filter.job ?? ""} onChange={byJob} main />
        <SearchBox label="Type or pattern, e.g. sendemail.*" value={filter.type ?? ""} onChange={byType} />
        <SearchBox label="Error holds" value={filter.error ?? ""} onChange={byError} />
        <Moment label="Ended since" value={filter.since} onChange={(since) => change({ since })} />
        <Moment label="until" value={filter.until} onChange={(until) => change({ until })} />
        {filter.worker && (
          <FilterTag onRemove={() => change({ worker: undefined })}>worker: {filter.worker.slice(0, 8)}</FilterTag>
        )}
        {filter.backfill && (
          <FilterTag onRemove={() => change({ backfill: undefined })}>backfill: {filter.backfill}</FilterTag>
        )}
      </div>
      <StateFilter chosen={filter.state ?? []} onChange={byState} />
      {occurrences.isError && !noSuchJob && (
        <ProblemNote error={occurrences.error} retry={() => void occurrences.refetch()} />
      )}
      {(!occurrences.isError || occurrences.data || noSuchJob) && (
        <Panel flush>
          <OccurrenceTable
            columns={columns}
            rows={noSuchJob ? [] : occurrences.data?.items}
            outdated={occurrences.isPlaceholderData}
            live={cursor === undefined}
            scope={JSON.stringify(filter)}
            empty={
              lookedAt ? (
                <Empty title={`Nothing found among ${count(lookedAt)} so far`}>
                  There are more to look through: go on below, or narrow the search by a job, a time or states.
                </Empty>
              ) : filtered || cursor ? (
                <Empty
                  title={noSuchJob ? "There is no job of this name" : "No occurrence matches"}
                  actions={
                    <Link to="/occurrences" className="button button-plain">
                      Show all occurrences
                    </Link>
                  }
                />
              ) : (
                <Empty
                  title="Nothing has been due yet"
                  actions={
                    <Link to="/jobs" className="button button-solid">
                      To the jobs
                    </Link>
                  }
                >
                  An occurrence appears here when a job is due, or when it is triggered by hand.
                </Empty>
              )
            }
          />
        </Panel>
      )}
      <Pager
        to="/occurrences"
        filter={rest}
        first={cursor === undefined}
        next={occurrences.data?.next_cursor}
        nextLabel={lookedAt ? "Look on" : "Older"}
      />
    </div>
  );
}
