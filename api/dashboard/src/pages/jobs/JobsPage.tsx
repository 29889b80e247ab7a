import { useQuery } from "@tanstack/react-query";
import { getRouteApi, Link } from "@tanstack/react-router";
import { useCallback } from "react";
import { addressOf } from "../../api/client";
import { type JobFilter, queries } from "../../api/queries";
import type { Job } from "../../api/types";
import { useTitle } from "../../app/title";
import { useFilterChange } from "../../app/useFilterChange";
import { Button } from "../../parts/Button";
import { Empty } from "../../parts/Empty";
import { PlusIcon } from "../../parts/icons";
import { PageHead } from "../../parts/PageHead";
import { Pager } from "../../parts/Pager";
import { Panel } from "../../parts/Panel";
import { ProblemNote } from "../../parts/ProblemNote";
import { SearchBox } from "../../parts/SearchBox";
import { FilterTag, PausedTag, UnservedTag } from "../../parts/Tag";
import { type Column, DataTable } from "../../parts/table/DataTable";
import { StateBadge } from "../../states/StateBadge";
import { Time } from "../../time/Time";
import { JobDialogs, useJobActions } from "./JobDialogs";
import { JobRowActions } from "./JobMenu";
import "./jobs.css";

const COLUMNS: readonly Column<Job>[] = [
  {
    id: "name",
    header: "Job",
    role: "main",
    cell: (job) => (
      <div className="job-name">
        <Link to="/jobs/$id" params={{ id: String(job.id) }}>
          {job.name}
        </Link>
        {job.paused && <PausedTag reason={job.pause_reason} />}
        {job.served === false && <UnservedTag type={job.type} />}
        {job.tags.map((tag) => (
          <Link key={tag} to="/jobs" search={{ tag }} className="tag">
            {tag}
          </Link>
        ))}
      </div>
    ),
  },
  { id: "type", header: "Type", role: "plain", cell: (job) => <span className="quiet">{job.type}</span> },
  { id: "schedule", header: "Schedule", role: "line", cell: (job) => job.trigger_description },
  {
    id: "next",
    header: "Next",
    cell: (job) =>
      job.next_fire_at ? <Time at={job.next_fire_at} /> : <span className="quiet">{whyNoNext(job)}</span>,
  },
  {
    id: "last",
    header: "Last",
    cell: ({ last_occurrence: last }) =>
      last ? (
        <Link to="/occurrences/$id" params={{ id: String(last.id) }} className="last-occurrence">
          <StateBadge state={last.state} />
          <span className="quiet">
            <Time at={last.finished_at ?? last.scheduled_for} />
          </span>
        </Link>
      ) : (
        <span className="quiet">never ran</span>
      ),
  },
  { id: "actions", header: "Actions", role: "action", cell: (job) => <JobRowActions job={job} /> },
];

/** Why a job has no next time. */
function whyNoNext(job: Job): string {
  if (job.paused) return "paused";
  if (job.trigger.kind === "manual") return "by hand";
  return job.max_runs !== null && job.runs >= job.max_runs ? "runs used up" : "ended";
}

const FIRST_JOB = `curl ${location.origin}${addressOf("/jobs")} -H 'content-type: application/json' -d '{
  "name": "hello", "type": "sendemail.welcome",
  "payload": {"to": "ada@example.com"},
  "trigger": {"kind": "interval", "every": 60}
}'`;

const route = getRouteApi("/jobs");

/** All jobs, with what can be done to them. */
export function JobsPage() {
  useTitle("Jobs");
  return (
    <JobDialogs>
      <JobList />
    </JobDialogs>
  );
}

function JobList() {
  const filter = route.useSearch();
  const actions = useJobActions();
  const jobs = useQuery(queries.jobs(filter));
  const { cursor, ...rest } = filter;
  const filtered = Object.keys(rest).length > 0;
  const change = useFilterChange<JobFilter>("/jobs");
  const search = useCallback((text: string) => change({ search: text || undefined }), [change]);
  const create = (
    <Button look="solid" icon={<PlusIcon />} onClick={() => actions.open({ kind: "create" })}>
      New job
    </Button>
  );
  return (
    <div className="page">
      <PageHead title="Jobs" actions={create} />
      <div className="filters">
        <SearchBox label="Search jobs" value={filter.search ?? ""} onChange={search} main />
        <select
          className="input filter-select"
          aria-label="Paused or not"
          value={filter.paused === undefined ? "" : String(filter.paused)}
          onChange={(event) =>
            change({ paused: event.target.value === "" ? undefined : event.target.value === "true" })
          }
        >
          <option value="">Active and paused</option>
          <option value="false">Active</option>
          <option value="true">Paused</option>
        </select>
        <select
          className="input filter-select"
          aria-label="Served or not"
          value={filter.served === undefined ? "" : String(filter.served)}
          onChange={(event) =>
            change({ served: event.target.value === "" ? undefined : event.target.value === "true" })
          }
        >
          <option value="">Served and unserved</option>
          <option value="true">Served by a worker</option>
          <option value="false">No worker</option>
        </select>
        {filter.type && <FilterTag onRemove={() => change({ type: undefined })}>type: {filter.type}</FilterTag>}
        {filter.tag && <FilterTag onRemove={() => change({ tag: undefined })}>tag: {filter.tag}</FilterTag>}
      </div>
      {jobs.isError && <ProblemNote error={jobs.error} retry={() => void jobs.refetch()} />}
      {(!jobs.isError || jobs.data) && (
        <Panel flush className="job-list">
          <DataTable
            label="Jobs"
            columns={COLUMNS}
            rows={jobs.data?.items}
            idOf={(job) => String(job.id)}
            outdated={jobs.isPlaceholderData}
            live
            scope={JSON.stringify(filter)}
            empty={
              filtered ? (
                <Empty
                  title="No job matches"
                  actions={
                    <Link to="/jobs" className="button button-plain">
                      Show all jobs
                    </Link>
                  }
                />
              ) : (
                <Empty title="No jobs yet" actions={create} command={FIRST_JOB}>
                  A job says what to run and when. Make the first one here, or from a shell:
                </Empty>
              )
            }
          />
        </Panel>
      )}
      <Pager
        to="/jobs"
        filter={rest}
        first={cursor === undefined}
        next={jobs.data?.next_cursor}
        nextLabel="More jobs"
      />
    </div>
  );
}
