import { Link } from "@tanstack/react-router";
import type { Overview, State } from "../../api/types";
import { StateMark } from "../../states/StateBadge";
import { MEANING, stateLabel } from "../../states/states";
import { count } from "../../time/format";

const SHOWN: readonly State[] = ["running", "pending", "waiting", "retrying", "cancelling", "scheduled"];

/** The server counts dead letters so far. */
const DEAD_COUNTED = 100_000;

/** How many occurrences are in each state that they will leave, and how much of the workers is used. */
export function LiveCounts({ overview }: { overview: Overview | undefined }) {
  const workers = overview?.workers;
  return (
    <ul className="counts">
      {SHOWN.map((state) => {
        const value = overview?.occurrences[state] ?? 0;
        return (
          <li key={state}>
            <Link
              to="/occurrences"
              search={{ state: [state] }}
              className="count"
              data-zero={value === 0 || undefined}
              title={MEANING[state]}
            >
              <span className="count-name">
                <StateMark state={state} />
                {stateLabel(state)}
              </span>
              <span className="count-value num">{overview ? count(value) : "–"}</span>
            </Link>
          </li>
        );
      })}
      <li>
        <Link
          to="/dead-letters"
          className="count count-dead"
          data-zero={!overview?.dead_letters || undefined}
          title="Failed for good, and neither requeued nor discarded yet"
        >
          <span className="count-name">
            <StateMark state="failed" />
            {overview?.dead_letters === 1 ? "dead letter" : "dead letters"}
          </span>
          <span className="count-value num">
            {overview ? `${count(overview.dead_letters)}${overview.dead_letters >= DEAD_COUNTED ? "+" : ""}` : "–"}
          </span>
        </Link>
      </li>
      <li>
        <Link to="/workers" className="count" data-zero={workers?.alive === 0 || undefined}>
          <span className="count-name">{workers?.alive === 1 ? "worker" : "workers"}</span>
          <span className="count-value num">
            {workers ? count(workers.alive) : "–"}
            {workers && workers.alive > 0 && (
              <span className="count-note">
                {count(workers.running)} of {count(workers.slots)} slots
              </span>
            )}
          </span>
        </Link>
      </li>
      <li>
        <Link to="/jobs" className="count" data-zero={overview?.jobs.total === 0 || undefined}>
          <span className="count-name">{overview?.jobs.total === 1 ? "job" : "jobs"}</span>
          <span className="count-value num">
            {overview ? count(overview.jobs.total) : "–"}
            {overview && overview.jobs.paused > 0 && (
              <span className="count-note">{count(overview.jobs.paused)} paused</span>
            )}
          </span>
        </Link>
      </li>
    </ul>
  );
}
