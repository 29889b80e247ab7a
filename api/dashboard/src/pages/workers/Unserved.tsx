import { useQuery } from "@tanstack/react-query";
import { Link } from "@tanstack/react-router";
import { unserved } from "../../api/patterns";
import { queries } from "../../api/queries";
import { WarnIcon } from "../../parts/icons";
import "../../parts/Note.css";
import "./Unserved.css";

const SHOWN = 6;

/** The types of active jobs and pending occurrences that no live worker serves, as far as pages of them tell; undefined until known. */
export function useUnserved(): string[] | undefined {
  const workers = useQuery(queries.workers()).data?.items;
  const jobs = useQuery(queries.jobs({ paused: false, served: false })).data?.items;
  const pending = useQuery(queries.occurrences({ state: ["pending"] })).data?.items;
  if (!workers || !jobs || !pending) return undefined;
  return unserved(
    [...pending, ...jobs].map((each) => each.type),
    workers,
  );
}

/** Their names, each leading to its jobs. */
export function UnservedTypes({ types }: { types: readonly string[] }) {
  return (
    <span className="unserved">
      {types.slice(0, SHOWN).map((type) => (
        <Link key={type} to="/jobs" search={{ type }}>
          <code>{type}</code>
        </Link>
      ))}
      {types.length > SHOWN && <span>and {types.length - SHOWN} more</span>}
    </span>
  );
}

/** Says so when no live worker serves a type. */
export function UnservedHint({ type }: { type: string }) {
  const workers = useQuery(queries.workers()).data?.items;
  if (!workers || unserved([type], workers).length === 0) return null;
  return (
    <div className="note note-warn" role="status">
      <WarnIcon />
      <div>
        <strong>No live worker serves {type}</strong>
        <p>
          It runs as soon as one does. <Link to="/workers">Workers and what they serve</Link>
        </p>
      </div>
    </div>
  );
}

/** Names them, when there are any. */
export function UnservedNote() {
  const types = useUnserved() ?? [];
  if (types.length === 0) return null;
  return (
    <div className="note note-warn" role="status">
      <WarnIcon />
      <div>
        <strong>
          No live worker serves {types.length === 1 ? "a type that jobs have" : `${types.length} types that jobs have`}
        </strong>
        <div>
          <UnservedTypes types={types} />
        </div>
      </div>
    </div>
  );
}
