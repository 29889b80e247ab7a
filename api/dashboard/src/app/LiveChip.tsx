import { useLiveState, useOutdated } from "../live/live";
import { clockTime } from "../time/format";
import "./LiveChip.css";

/** Says how far the page can be trusted to show what is. */
export function LiveChip() {
  const state = useLiveState();
  const outdated = useOutdated();
  return (
    <div className="chips">
      {outdated && (
        <button type="button" className="chip chip-new" onClick={() => location.reload()}>
          Updated – reload
        </button>
      )}
      <span className={`chip chip-${state.kind}`} role="status" data-live={state.kind}>
        <span className="chip-dot" />
        {state.kind === "live" && <span title="Changes appear by themselves">Live</span>}
        {state.kind === "connecting" && "Connecting"}
        {state.kind === "reconnecting" && <span title="Asking every 10 s meanwhile">Reconnecting</span>}
        {state.kind === "stale" && <span title="The server does not answer">Stale since {clockTime(state.since)}</span>}
      </span>
    </div>
  );
}
