import { Link } from "@tanstack/react-router";
import type { State } from "../../api/types";
import { StateMark } from "../../states/StateBadge";
import { FINAL_STATES, stateLabel } from "../../states/states";
import { count } from "../../time/format";

/** How occurrences ended, as shares of a bar and as numbers. */
export function Outcomes({ counts }: { counts: Partial<Record<State, number>> | undefined }) {
  const of = (state: State) => counts?.[state] ?? 0;
  const total = FINAL_STATES.reduce((sum, state) => sum + of(state), 0);
  const shown = FINAL_STATES.filter((state) => of(state) > 0 || state === "succeeded" || state === "failed");
  return (
    <div className="outcomes">
      <div className="outcome-bar" aria-hidden="true">
        {FINAL_STATES.filter((state) => of(state) > 0).map((state) => (
          <span key={state} className={`outcome-part state-${state}`} style={{ flexGrow: of(state) }} />
        ))}
      </div>
      <ul className="outcome-list">
        {shown.map((state) => (
          <li key={state}>
            <Link to="/occurrences" search={{ state: [state] }}>
              <StateMark state={state} />
              {stateLabel(state)}
            </Link>
            <span className="num">{counts ? count(of(state)) : "–"}</span>
            <span className="num quiet">{total > 0 ? share(of(state), total) : ""}</span>
          </li>
        ))}
      </ul>
    </div>
  );
}

function share(part: number, total: number): string {
  const percent = (100 * part) / total;
  if (part > 0 && percent < 0.1) return "< 0.1 %";
  // 99.96 % is not all of them.
  const shown = part < total ? Math.min(percent, 99.9) : percent;
  return `${shown.toFixed(percent === 0 || percent === 100 ? 0 : 1)} %`;
}
