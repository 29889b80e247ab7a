import { useQuery } from "@tanstack/react-query";
import { getRouteApi, Link } from "@tanstack/react-router";
import { Problem } from "../../api/client";
import { queries } from "../../api/queries";
import type { OccurrenceDetail } from "../../api/types";
import { useTitle } from "../../app/title";
import { Empty } from "../../parts/Empty";
import { Json } from "../../parts/Json";
import { PageHead } from "../../parts/PageHead";
import { Fact, Facts, Panel } from "../../parts/Panel";
import { ProblemNote } from "../../parts/ProblemNote";
import { ProgressBar } from "../../parts/Progress";
import { StateBadge } from "../../states/StateBadge";
import { isFinal, isRunning, meaningOf } from "../../states/states";
import { localTime } from "../../time/format";
import { Time } from "../../time/Time";
import { UnservedHint } from "../workers/Unserved";
import { FailureView } from "./FailureView";
import { LogPanel } from "./LogPanel";
import { OccurrenceActions } from "./OccurrenceActions";
import { Took, Why } from "./OccurrenceTable";
import { Timeline } from "./Timeline";
import "./occurrences.css";

const route = getRouteApi("/occurrences/$id");

/** One occurrence: its life, its attempts, what it said and what came of it. */
export function OccurrencePage() {
  const { id } = route.useParams();
  const query = useQuery(queries.occurrence(id));
  const occurrence = query.data;
  useTitle(occurrence ? `${occurrence.job_name} ${occurrence.id}` : `Occurrence ${id}`);
  if (query.isError && !occurrence) {
    return query.error instanceof Problem && query.error.status === 404 ? (
      <Panel>
        <Empty
          title="There is no such occurrence"
          actions={
            <Link to="/occurrences" className="button button-plain">
              To the occurrences
            </Link>
          }
        >
          It may have been older than the history that is kept.
        </Empty>
      </Panel>
    ) : (
      <ProblemNote error={query.error} retry={() => void query.refetch()} />
    );
  }
  return (
    <div className="page" data-occurrence={id}>
      {query.isError && <ProblemNote error={query.error} />}
      {occurrence && <Head occurrence={occurrence} />}
      {occurrence && (
        <div className="occurrence-columns">
          <div>
            {occurrence.error && (
              <Panel title="Error" flush>
                <FailureView failure={occurrence.error} />
              </Panel>
            )}
            {occurrence.attempt === 0 && isFinal(occurrence.state) ? (
              <Panel title="Why it did not run">
                <p>{meaningOf(occurrence)}.</p>
                <Why occurrence={occurrence} />
              </Panel>
            ) : (
              <LogPanel key={id} id={occurrence.id} final={isFinal(occurrence.state)} attempts={occurrence.attempt} />
            )}
            {occurrence.result !== null && (
              <Panel title="Result" flush>
                <Json value={occurrence.result} label="Result" />
              </Panel>
            )}
            {occurrence.checkpoint != null && (
              <Panel title="Checkpoint" flush>
                <Json value={occurrence.checkpoint} label="Checkpoint" />
              </Panel>
            )}
          </div>
          <div>
            <Panel title="Timeline">
              <Timeline occurrence={occurrence} />
            </Panel>
            <Panel title="Payload" flush>
              <Json value={occurrence.payload} label="Payload" />
            </Panel>
            <Panel title="Details">
              <Details occurrence={occurrence} />
            </Panel>
          </div>
        </div>
      )}
    </div>
  );
}

function Head({ occurrence }: { occurrence: OccurrenceDetail }) {
  return (
    <>
      <PageHead
        title={
          <>
            <Link to="/jobs/$id" params={{ id: String(occurrence.job_id) }}>
              {occurrence.job_name}
            </Link>{" "}
            <small className="num">{occurrence.id}</small>
          </>
        }
        mark={
          <span data-testid="state">
            <StateBadge state={occurrence.state} />
          </span>
        }
        sub={
          <>
            {occurrence.type} · due <Time at={occurrence.scheduled_for} />
            {occurrence.state === "scheduled" && ` (${localTime(Date.parse(occurrence.scheduled_for))})`}
            {occurrence.started_at && (
              <>
                {isRunning(occurrence.state)
                  ? " · running for "
                  : occurrence.attempt > 1
                    ? " · the last attempt took "
                    : " · took "}
                <Took occurrence={occurrence} />
              </>
            )}
          </>
        }
        actions={<OccurrenceActions occurrence={occurrence} />}
      />
      {occurrence.attempt > 0 || !isFinal(occurrence.state) ? <Why occurrence={occurrence} /> : null}
      {occurrence.state === "pending" && <UnservedHint type={occurrence.type} />}
      {occurrence.progress && <ProgressBar progress={occurrence.progress} />}
    </>
  );
}

const ORIGIN = {
  schedule: "its schedule",
  manual: "a trigger by hand",
  requeue: "a requeue",
  backfill: "a backfill",
} as const;

function Details({ occurrence }: { occurrence: OccurrenceDetail }) {
  return (
    <Facts>
      <Fact name="Made by">
        {ORIGIN[occurrence.origin]}
        {occurrence.requeue_of !== null && (
          <>
            {" of "}
            <Link to="/occurrences/$id" params={{ id: String(occurrence.requeue_of) }}>
              {occurrence.requeue_of}
            </Link>
          </>
        )}
      </Fact>
      {occurrence.backfill_id !== null && (
        <Fact name="Backfill">
          <Link to="/occurrences" search={{ backfill: String(occurrence.backfill_id) }}>
            {occurrence.backfill_id}
          </Link>
        </Fact>
      )}
      {occurrence.resolution && <Fact name="Dealt with">{occurrence.resolution}</Fact>}
      {occurrence.requeued_as !== null && (
        <Fact name="Requeued as">
          <Link to="/occurrences/$id" params={{ id: String(occurrence.requeued_as) }}>
            {occurrence.requeued_as}
          </Link>
        </Fact>
      )}
      <Fact name="Priority">{occurrence.priority}</Fact>
      {occurrence.concurrency_key !== "" && (
        <Fact name="Concurrency key">
          <code>{occurrence.concurrency_key}</code>
        </Fact>
      )}
      <Fact name="Job version">{occurrence.job_version}</Fact>
      <Fact name="Attempts">
        {occurrence.attempt} of {occurrence.max_attempts}
        {occurrence.lost_count > 0 && `, ${occurrence.lost_count} lost`}
        {occurrence.snoozed_count ? `, ${occurrence.snoozed_count} snoozed` : ""}
      </Fact>
      {occurrence.worker_name && (
        <Fact name="Worker">
          <Link to="/occurrences" search={{ worker: occurrence.worker_id ?? "" }}>
            {occurrence.worker_name}
          </Link>
        </Fact>
      )}
      {occurrence.idempotency_key && (
        <Fact name="Idempotency key">
          <code>{occurrence.idempotency_key}</code>
        </Fact>
      )}
    </Facts>
  );
}
