import { useQuery } from "@tanstack/react-query";
import { Link } from "@tanstack/react-router";
import { queries } from "../../api/queries";
import type { Overview } from "../../api/types";
import { useTitle } from "../../app/title";
import { Panel } from "../../parts/Panel";
import { ProblemNote } from "../../parts/ProblemNote";
import { Time } from "../../time/Time";
import { LiveCounts } from "./LiveCounts";
import { Outcomes } from "./Outcomes";
import { RecentTrouble } from "./RecentTrouble";
import { RunningNow } from "./RunningNow";
import { SystemPanel } from "./SystemPanel";
import "./overview.css";

/** How things are, at a glance. */
export function OverviewPage() {
  useTitle("Overview");
  const overview = useQuery(queries.overview());
  return (
    <div className="page">
      <h1 className="hidden-text">Overview</h1>
      {overview.isError && <ProblemNote error={overview.error} retry={() => void overview.refetch()} />}
      <LiveCounts overview={overview.data} />
      <div className="overview-columns">
        <div>
          <RunningNow noJobs={overview.data?.jobs.total === 0} />
          <RecentTrouble />
        </div>
        <div>
          <Panel title="Last hour" aside={overview.data && <SinceNote overview={overview.data} />}>
            <Outcomes counts={overview.data?.last_hour} />
          </Panel>
          <SystemPanel overview={overview.data} />
          <Panel title="Next">
            <NextFirings overview={overview.data} />
          </Panel>
        </div>
      </div>
    </div>
  );
}

function SinceNote({ overview }: { overview: Overview }) {
  if (!overview.last_hour_since) return null;
  return (
    <span title="There are too many to count them all">
      since <Time at={overview.last_hour_since} />
    </span>
  );
}

function NextFirings({ overview }: { overview: Overview | undefined }) {
  if (!overview) return <p className="quiet overview-hold">…</p>;
  if (overview.upcoming.length === 0) return <p className="quiet">No job has a next time.</p>;
  return (
    <ol className="firings">
      {overview.upcoming.map((each) => (
        <li key={each.job_id}>
          <Link to="/jobs/$id" params={{ id: String(each.job_id) }}>
            {each.job_name}
          </Link>
          <Time at={each.next_fire_at} />
        </li>
      ))}
    </ol>
  );
}
