import { useQuery } from "@tanstack/react-query";
import { Link } from "@tanstack/react-router";
import { queries } from "../../api/queries";
import type { Job, Trigger } from "../../api/types";
import { Fact, Facts } from "../../parts/Panel";
import { count, seconds } from "../../time/format";
import { Time } from "../../time/Time";
import { spellLimit } from "../limits/limit";

/** A job's definition, in words. */
export function JobFacts({ job }: { job: Job }) {
  return (
    <Facts>
      {job.description && <Fact name="Description">{job.description}</Fact>}
      <Fact name="Type">
        <code>{job.type}</code>
      </Fact>
      <TriggerFacts trigger={job.trigger} />
      <RateLimitFact type={job.type} />
      <Fact name="Overlap">{overlap(job)}</Fact>
      {job.concurrency_key && (
        <Fact name="Apart for each">
          <code>{job.concurrency_key}</code>
        </Fact>
      )}
      <Fact name="Priority">
        {job.priority} <span className="quiet">of 9</span>
      </Fact>
      <Fact name="Attempts">{attempts(job)}</Fact>
      <Fact name="Lost workers">at most {job.retry.max_lost}</Fact>
      {(job.disable_after !== null || job.failures > 0) && (
        <Fact name="Failures">
          {count(job.failures)} in a row
          {job.disable_after !== null && `, disabled after ${count(job.disable_after)}`}
        </Fact>
      )}
      <Fact name="Time limit">{job.timeout === null ? "none" : seconds(job.timeout)}</Fact>
      {job.trigger.kind !== "manual" && <Fact name="Missed runs">{catchUp(job)}</Fact>}
      <Fact name="Runs">
        {count(job.runs)}
        {job.max_runs !== null && ` of ${count(job.max_runs)}`}
      </Fact>
      {job.source === "code" && <Fact name="Defined">in code, beside its handler</Fact>}
      {job.tags.length > 0 && <Fact name="Tags">{job.tags.join(", ")}</Fact>}
      <Fact name="Changed">
        <Time at={job.updated_at} /> <span className="quiet">version {job.version}</span>
      </Fact>
      <Fact name="Created">
        <Time at={job.created_at} /> <span className="quiet">id {job.id}</span>
      </Fact>
    </Facts>
  );
}

function RateLimitFact({ type }: { type: string }) {
  const limits = useQuery(queries.rateLimits()).data?.filter((each) => each.type === type) ?? [];
  if (limits.length === 0) return null;
  return (
    <Fact name="Rate limit">
      {limits.map((limit) => (
        <div key={limit.key ?? ""}>
          <Link to="/limits">{spellLimit(limit)}</Link>
        </div>
      ))}
    </Fact>
  );
}

function TriggerFacts({ trigger }: { trigger: Trigger }) {
  switch (trigger.kind) {
    case "manual":
      return <Fact name="Schedule">by hand</Fact>;
    case "once":
      return (
        <>
          <Fact name="Once at">
            <Time at={trigger.at} />
          </Fact>
          {trigger.jitter ? <Fact name="Spread over">{seconds(trigger.jitter)}</Fact> : null}
        </>
      );
    case "cron":
      return (
        <>
          <Fact name="Cron">
            <code>{trigger.expression}</code>
          </Fact>
          <Fact name="Time zone">{trigger.timezone ?? "UTC"}</Fact>
          <Bounds trigger={trigger} />
        </>
      );
    case "interval":
      return (
        <>
          <Fact name="Every">{seconds(trigger.every)}</Fact>
          <Bounds trigger={trigger} />
        </>
      );
  }
}

function Bounds({ trigger }: { trigger: Extract<Trigger, { kind: "cron" | "interval" }> }) {
  return (
    <>
      {trigger.start_at && (
        <Fact name={trigger.kind === "interval" ? "Counted from" : "Not before"}>
          <Time at={trigger.start_at} />
        </Fact>
      )}
      {trigger.end_at && (
        <Fact name="Not after">
          <Time at={trigger.end_at} />
        </Fact>
      )}
      {trigger.jitter ? <Fact name="Spread over">{seconds(trigger.jitter)}</Fact> : null}
    </>
  );
}

function overlap(job: Job): string {
  const most = job.max_concurrent === 1 ? "one at a time" : `${job.max_concurrent} at once`;
  if (job.concurrency === "skip") return `skip, ${most}`;
  if (job.concurrency === "queue") return `queue, ${most}, up to ${count(job.max_waiting)} waiting`;
  if (job.concurrency === "replace") return `replace, ${most}`;
  return "allow, any number at once";
}

function attempts({ retry }: Job): string {
  if (retry.max_attempts === 1) return "1, no retry";
  return `${retry.max_attempts}, first delay ${seconds(retry.delay)}, × ${retry.factor} up to ${seconds(retry.max_delay)}`;
}

function catchUp(job: Job): string {
  if (job.catch_up === "none") return "not run";
  return `${job.catch_up === "latest" ? "run the latest" : "run all"}, not older than ${seconds(job.catch_up_window)}`;
}
