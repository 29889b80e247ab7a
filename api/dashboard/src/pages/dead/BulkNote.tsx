import { Link } from "@tanstack/react-router";
import { count } from "../../time/format";
import "./dead.css";
import type { BulkProgress } from "./useBulk";

const SHOWN = 5;

/** How far it is, and what could not be done. */
export function BulkNote({ progress }: { progress: BulkProgress }) {
  const { done, left, refused } = progress;
  return (
    <div className="bulk-note" role="status">
      <p className="num">
        {count(done)} done, {count(left)} left
      </p>
      {refused.size > 0 && (
        <ul>
          {[...refused].slice(0, SHOWN).map(([id, reason]) => (
            <li key={id}>
              <Link to="/occurrences/$id" params={{ id: String(id) }} className="num">
                {id}
              </Link>{" "}
              stays: {reason}
            </li>
          ))}
          {refused.size > SHOWN && <li>and {count(refused.size - SHOWN)} more</li>}
        </ul>
      )}
    </div>
  );
}
