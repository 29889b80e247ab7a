import { Link } from "@tanstack/react-router";
import { Fragment } from "react";
import { count } from "../../time/format";
import "./dead.css";
import type { BulkProgress } from "./useBulk";

/** Ids that stand beside a reason. */
const SHOWN = 5;

/** How far it is, and what could not be done, by its reason. */
export function BulkNote({ progress }: { progress: BulkProgress }) {
  const { done, left, refused } = progress;
  const reasons = new Map<string, number[]>();
  for (const [id, reason] of refused) reasons.set(reason, [...(reasons.get(reason) ?? []), id]);
  return (
    <div className="bulk-note" role="status">
      <p className="num">
        {count(done.size)} done, {count(left)} left
      </p>
      {reasons.size > 0 && (
        <ul>
          {[...reasons].map(([reason, ids]) => (
            <li key={reason}>
              <strong className="num">{ids.length === 1 ? "1 stays" : `${count(ids.length)} stay`}</strong>: {reason} (
              {ids.slice(0, SHOWN).map((id, index) => (
                <Fragment key={id}>
                  {index > 0 && ", "}
                  <Link to="/occurrences/$id" params={{ id: String(id) }} className="num">
                    {id}
                  </Link>
                </Fragment>
              ))}
              {ids.length > SHOWN && ", …"})
            </li>
          ))}
        </ul>
      )}
    </div>
  );
}
