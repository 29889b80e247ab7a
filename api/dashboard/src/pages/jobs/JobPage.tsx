import { useQuery } from "@tanstack/react-query";
import { getRouteApi, Link, useNavigate } from "@tanstack/react-router";
import { Problem } from "../../api/client";
import { commands } from "../../api/commands";
import { queries } from "../../api/queries";
import type { Job } from "../../api/types";
import { useTitle } from "../../app/title";
import { Button } from "../../parts/Button";
import { Empty } from "../../parts/Empty";
import { EditIcon, PauseIcon, PlayIcon, WarnIcon } from "../../parts/icons";
import { Json } from "../../parts/Json";
import { notify } from "../../parts/Notices";
import { PageHead } from "../../parts/PageHead";
import { CodeTag, PausedTag, UnservedTag } from "../../parts/Tag";
import "../../parts/Note.css";
import { Panel } from "../../parts/Panel";
import { ProblemNote } from "../../parts/ProblemNote";
import { OccurrenceTable, useOccurrenceColumns } from "../occurrences/OccurrenceTable";
import { UnservedHint } from "../workers/Unserved";
import { BackfillPanel } from "./BackfillPanel";
import { JobDialogs, lacksPayload, useJobActions } from "./JobDialogs";
import { JobFacts } from "./JobFacts";
import { JobMenu } from "./JobMenu";
import { FireTimeList, NextClockChange } from "./Preview";
import "./jobs.css";

const NEXT = 5;
const RECENT = 25;
const route = getRouteApi("/jobs/$id");

/** One job: what it is, when it is due, what became of its occurrences. */
export function JobPage() {
  const { id } = route.useParams();
  const job = useQuery(queries.job(id));
  useTitle(job.data?.name ?? "Job");
  if (job.isError && !job.data) {
    return job.error instanceof Problem && job.error.status === 404 ? (
      <Panel>
        <Empty
          title="There is no such job"
          actions={
            <Link to="/jobs" className="button button-plain">
              To the jobs
            </Link>
          }
        >
          It may have been deleted. Its occurrences stay in the history.
        </Empty>
      </Panel>
    ) : (
      <ProblemNote error={job.error} retry={() => void job.refetch()} />
    );
  }
  return (
    <JobDialogs>
      <div className="page">
        {job.isError && <ProblemNote error={job.error} />}
        <JobHead job={job.data} />
        <div className="job-columns">
          <div>
            <Occurrences id={id} />
          </div>
          <div>
            {job.data && <NextTimes job={job.data} id={id} />}
            {job.data && <BackfillPanel job={job.data} />}
            <Panel title="Definition">{job.data && <JobFacts job={job.data} />}</Panel>
            {job.data && (
              <Panel title="Payload" flush>
                <Json value={job.data.payload} label="Payload" />
              </Panel>
            )}
          </div>
        </div>
      </div>
    </JobDialogs>
  );
}

function JobHead({ job }: { job: Job | undefined }) {
  const actions = useJobActions();
  const navigate = useNavigate();
  if (!job) return <PageHead title="…" />;
  async function trigger(target: Job): Promise<void> {
    try {
      const occurrence = await commands.triggerJob(target.id);
      await navigate({ to: "/occurrences/$id", params: { id: String(occurrence.id) } });
    } catch (error) {
      notify(error instanceof Error ? error.message : String(error), "danger");
      if (lacksPayload(error)) actions.open({ kind: "trigger", job: target });
    }
  }
  return (
    <>
      <PageHead
        title={job.name}
        mark={
          <>
            {job.paused && <PausedTag reason={job.pause_reason} />}
            {job.served === false && <UnservedTag type={job.type} />}
            {job.source === "code" && <CodeTag />}
          </>
        }
        sub={`${job.type} · ${job.trigger_description}`}
        actions={
          <>
            <Button look="solid" icon={<PlayIcon />} onClick={() => void trigger(job)}>
              Trigger now
            </Button>
            <Button icon={<EditIcon />} onClick={() => actions.open({ kind: "edit", job })}>
              Edit
            </Button>
            {!job.paused && (
              <Button icon={<PauseIcon />} onClick={() => actions.open({ kind: "pause", job })}>
                Pause
              </Button>
            )}
            <JobMenu job={job} />
          </>
        }
      />
      {job.paused && <PausedNote job={job} />}
      {job.served === false && <UnservedHint type={job.type} />}
    </>
  );
}

/** Why it is not due, and the way back. */
function PausedNote({ job }: { job: Job }) {
  const actions = useJobActions();
  const byItself = job.disable_after !== null && job.failures >= job.disable_after;
  return (
    <div className="note note-warn">
      <WarnIcon />
      <div>
        <strong>{byItself ? "Disabled after failures" : "Paused"}</strong>
        <p>{job.pause_reason || "No reason was given."}</p>
        <p>
          {byItself ? (
            <>
              Resuming lets it be due again and counts anew.{" "}
              <Link to="/occurrences" search={{ job: String(job.id), state: ["failed", "timed_out"] }}>
                Its failures
              </Link>
            </>
          ) : (
            "It is not due until it is resumed. It can be triggered by hand."
          )}
        </p>
      </div>
      <Button size="small" onClick={() => actions.resume(job)}>
        {byItself ? "Enable again" : "Resume"}
      </Button>
    </div>
  );
}

function NextTimes({ job, id }: { job: Job; id: string }) {
  const due = job.trigger.kind !== "manual" && !job.paused;
  const next = useQuery({ ...queries.fireTimes(id, NEXT), enabled: due });
  const times = next.data?.fire_times ?? [];
  return (
    <Panel title="Next fire times">
      {!due ? (
        <p className="quiet">{job.paused ? "None while it is paused." : "None: it runs when it is triggered."}</p>
      ) : next.isError ? (
        <ProblemNote error={next.error} />
      ) : times.length > 0 ? (
        <>
          <FireTimeList times={times} />
          {next.data?.next_clock_change && <NextClockChange change={next.data.next_clock_change} />}
        </>
      ) : (
        <p className="quiet">{next.isPending ? "…" : "It will not be due again."}</p>
      )}
    </Panel>
  );
}

function Occurrences({ id }: { id: string }) {
  const recent = useQuery(queries.occurrences({ job: id, limit: RECENT }));
  const columns = useOccurrenceColumns(false);
  return (
    <Panel
      title="Occurrences"
      flush
      aside={
        <Link to="/occurrences" search={{ job: id }}>
          All
        </Link>
      }
    >
      {recent.isError ? (
        <div className="panel-problem">
          <ProblemNote error={recent.error} retry={() => void recent.refetch()} />
        </div>
      ) : (
        <OccurrenceTable
          columns={columns}
          rows={recent.data?.items}
          empty={<Empty title="It has not been due yet">Trigger it now to see it run.</Empty>}
        />
      )}
    </Panel>
  );
}
