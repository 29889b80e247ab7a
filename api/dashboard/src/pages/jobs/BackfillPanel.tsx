import { useQuery, useQueryClient } from "@tanstack/react-query";
import { Link } from "@tanstack/react-router";
import { useState } from "react";
import { commands } from "../../api/commands";
import type { Backfill } from "../../api/operations";
import { queries } from "../../api/queries";
import type { Job } from "../../api/types";
import { Button } from "../../parts/Button";
import { Confirm } from "../../parts/Confirm";
import { Panel } from "../../parts/Panel";
import { StateMark } from "../../states/StateBadge";
import { isFinal, STATES, stateLabel } from "../../states/states";
import { count, localTime } from "../../time/format";
import { Time } from "../../time/Time";
import { useJobActions } from "./JobDialogs";

/** A job's backfills, newest first, with how far they are; nothing while there never was one. */
export function BackfillPanel({ job }: { job: Job }) {
  const backfills = useQuery(queries.backfills(String(job.id)));
  const actions = useJobActions();
  const items = backfills.data?.items ?? [];
  if (items.length === 0) return null;
  return (
    <Panel
      title="Backfills"
      aside={
        <Button size="small" onClick={() => actions.open({ kind: "backfill", job })}>
          Backfill…
        </Button>
      }
    >
      <ul className="backfills">
        {items.map((backfill) => (
          <BackfillItem key={backfill.id} backfill={backfill} />
        ))}
      </ul>
    </Panel>
  );
}

function BackfillItem({ backfill }: { backfill: Backfill }) {
  const client = useQueryClient();
  const [open, setOpen] = useState(false);
  const [running, setRunning] = useState(false);
  const { total, created, existing, counts, state } = backfill;
  const ended = STATES.filter(isFinal).reduce((sum, each) => sum + (counts[each] ?? 0), 0);
  const wanted = total === null ? created : total - existing;
  const done = wanted === 0 ? 1 : ended / wanted;
  return (
    <li className="backfill" data-backfill={backfill.id}>
      <div className="backfill-head">
        <span className="num">
          {localTime(Date.parse(backfill.start_at))} – {localTime(Date.parse(backfill.end_at))}
        </span>
        {state === "running" && (
          <Button size="small" aria-label={`Cancel backfill ${backfill.id}`} onClick={() => setOpen(true)}>
            Cancel
          </Button>
        )}
      </div>
      <div
        className="backfill-bar"
        role="progressbar"
        aria-label={`Backfill ${backfill.id}`}
        aria-valuemin={0}
        aria-valuemax={100}
        aria-valuenow={Math.floor(100 * Math.min(1, done))}
      >
        {STATES.filter((each) => counts[each]).map((each) => (
          <span key={each} className={`state-${each}`} style={{ flexGrow: counts[each] }} />
        ))}
        {wanted > created && <span className="backfill-rest" style={{ flexGrow: wanted - created }} />}
      </div>
      <p className="backfill-counts">
        <span className="num">
          {state === "running" ? "" : `${state}, `}
          {count(ended)} of {count(wanted)} ended
        </span>
        {STATES.filter((each) => counts[each]).map((each) => (
          <Link key={each} to="/occurrences" search={{ backfill: String(backfill.id), state: [each] }} className="num">
            <StateMark state={each} /> {count(counts[each] ?? 0)} {stateLabel(each)}
          </Link>
        ))}
      </p>
      <p className="field-hint">
        {backfill.concurrency}
        {backfill.concurrency !== "allow" && `, ${count(backfill.max_concurrent)} at once`}
        {existing > 0 && `, ${count(existing)} had run before`}
        {backfill.reason && `, ${backfill.reason}`}, asked for <Time at={backfill.created_at} />
      </p>
      <Confirm
        open={open}
        onClose={() => setOpen(false)}
        title={`Cancel backfill ${backfill.id}?`}
        action="Cancel it"
        reason="Reason"
        run={async (reason) => {
          try {
            await commands.cancelBackfill(backfill.id, running, reason);
          } finally {
            void client.invalidateQueries({ queryKey: ["backfills"] });
            void client.invalidateQueries({ queryKey: ["occurrences"] });
          }
        }}
      >
        What has not begun does not run.
        <label className="check">
          <input type="checkbox" checked={running} onChange={(event) => setRunning(event.target.checked)} />
          Cancel what runs of it, too
        </label>
      </Confirm>
    </li>
  );
}
