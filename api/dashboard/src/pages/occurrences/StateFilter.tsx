import type { State } from "../../api/types";
import { StateMark } from "../../states/StateBadge";
import { FINAL_STATES, LIVE_STATES, MEANING, STATES, stateLabel, TROUBLE } from "../../states/states";

interface StateFilterProps {
  chosen: readonly State[];
  onChange: (states: readonly State[]) => void;
}

const GROUPS: readonly (readonly [label: string, states: readonly State[]])[] = [
  ["All", []],
  ["Live", LIVE_STATES],
  ["Final", FINAL_STATES],
  ["Trouble", TROUBLE],
];

/** Picks states: a group, or any of them one by one. */
export function StateFilter({ chosen, onChange }: StateFilterProps) {
  const same = (states: readonly State[]) =>
    states.length === chosen.length && states.every((state) => chosen.includes(state));
  return (
    <fieldset className="state-filter">
      <legend className="hidden-text">States</legend>
      {GROUPS.map(([label, states]) => (
        <button
          key={label}
          type="button"
          className="state-pick"
          aria-pressed={same(states)}
          onClick={() => onChange(states)}
        >
          {label}
        </button>
      ))}
      <span className="state-filter-line" />
      {STATES.map((state) => (
        <button
          key={state}
          type="button"
          className="state-pick"
          title={MEANING[state]}
          aria-pressed={chosen.includes(state)}
          onClick={() =>
            onChange(chosen.includes(state) ? chosen.filter((each) => each !== state) : [...chosen, state])
          }
        >
          <StateMark state={state} />
          {stateLabel(state)}
        </button>
      ))}
    </fieldset>
  );
}
