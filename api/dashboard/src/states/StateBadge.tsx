import type { State } from "../api/types";
import "./StateBadge.css";
import { MEANING, stateLabel } from "./states";

/** The state of an occurrence: a mark whose shape differs too, and the word. */
export function StateBadge({ state }: { state: State }) {
  return (
    <span className={`state state-${state}`} title={MEANING[state]}>
      <StateMark state={state} />
      {stateLabel(state)}
    </span>
  );
}

/** Only the mark, for where the word stands beside it anyway. */
export function StateMark({ state }: { state: string }) {
  return (
    <svg className={`state-mark state-${state}`} viewBox="0 0 12 12" aria-hidden="true">
      {SHAPES[state] ?? <circle cx="6" cy="6" r="4" fill="none" stroke="currentColor" strokeWidth="1.6" />}
    </svg>
  );
}

const line = {
  fill: "none",
  stroke: "currentColor",
  strokeWidth: 1.7,
  strokeLinecap: "round",
  strokeLinejoin: "round",
} as const;

const SHAPES: Record<string, React.ReactNode> = {
  due: <circle cx="6" cy="6" r="2.2" fill="currentColor" />,
  scheduled: (
    <path {...line} d="M2.500 3.300h7v6.400h-7zM2.500 5.500h7M4.400 2v1.300M7.600 2v1.300" strokeWidth={1.4} />
  ),
  waiting: <path {...line} d="M3 6h.01M6 6h.01M9 6h.01" strokeWidth={2} />,
  pending: <circle {...line} cx="6" cy="6" r="4" />,
  running: <circle {...line} className="state-spin" cx="6" cy="6" r="4" pathLength={100} strokeDasharray="68 32" />,
  cancelling: <circle {...line} className="state-spin" cx="6" cy="6" r="4" pathLength={100} strokeDasharray="30 20" />,
  retrying: <path {...line} d="M9.800 4.600A4.100 4.100 0 1 0 10.100 6.700M10 2v2.700H7.300" />,
  succeeded: <path {...line} d="M2.500 6.500 5 9l4.700-5.700" />,
  failed: <path {...line} d="m3 3 6 6M9 3 3 9" />,
  timed_out: <path {...line} d="M6 2a4 4 0 1 1 0 8 4 4 0 0 1 0-8M6 3.900V6l1.500 1" />,
  cancelled: <path {...line} d="M6 2a4 4 0 1 1 0 8 4 4 0 0 1 0-8M3.300 8.700l5.400-5.400" />,
  skipped: <path {...line} d="m2.500 3 3 3-3 3m4-6 3 3-3 3" />,
  missed: <path {...line} d="M6 2.300v4.200M6 9.300v.01" strokeWidth={2} />,
  lost: <path {...line} d="M6 2.300v4.200M6 9.300v.01" strokeWidth={2} />,
  snoozed: <path {...line} d="M3.500 3h5L3.500 9h5" />,
  released: <path {...line} d="M9.500 6h-7m2.700-2.700L2.500 6l2.700 2.700" />,
};
