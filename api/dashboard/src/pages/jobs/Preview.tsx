import { useQuery } from "@tanstack/react-query";
import { useEffect, useState } from "react";
import { Problem } from "../../api/client";
import { queries } from "../../api/queries";
import type { ClockChange, FireTime, FireTimes, Trigger } from "../../api/types";
import { Time } from "../../time/Time";
import { splitLocal } from "../../time/wall";
import "./Preview.css";

const COUNT = 5;
const PAUSE = 200;

/** The next fire times of a trigger that is being written, asked for when the typing pauses, and what is wrong with it. */
export function usePreview(trigger: Trigger | undefined) {
  const text = JSON.stringify(trigger);
  const [settled, setSettled] = useState(text);
  useEffect(() => {
    const timer = setTimeout(() => setSettled(text), PAUSE);
    return () => clearTimeout(timer);
  }, [text]);
  const asked = settled === undefined ? undefined : (JSON.parse(settled) as Trigger);
  const enabled = asked !== undefined && asked.kind !== "manual";
  const preview = useQuery({ ...queries.preview(asked ?? { kind: "manual" }, COUNT), enabled });
  const current = settled === text;
  return {
    times: enabled && !preview.isError ? preview.data?.fire_times : undefined,
    said: enabled && !preview.isError ? preview.data : undefined,
    errors: enabled && current && preview.error instanceof Problem ? preview.error.errors : [],
    failure: enabled && preview.isError ? preview.error : undefined,
    /** what is shown belongs to what was typed before */
    behind: !current || preview.isPlaceholderData,
  };
}

const CLOCK = {
  skipped: "The clock skips the time that was asked for",
  first: "The clock shows this time twice: the first",
  second: "The clock shows this time twice: the second",
} as const;

/** A schedule in words, with what may surprise about it. */
export function Schedule({ said }: { said: FireTimes }) {
  return (
    <div className="schedule-said">
      <p>{said.description}</p>
      {said.notes.map((note) => (
        <p key={note} className="field-hint">
          {note}
        </p>
      ))}
    </div>
  );
}

/** What becomes of a schedule when the clocks change next. */
export function NextClockChange({ change }: { change: ClockChange }) {
  const [before, after] = [splitLocal(change.before), splitLocal(change.after)];
  return (
    <details className="clock-change">
      <summary>
        When the clock changes, {before.day}{" "}
        <span className="quiet num">
          {before.time.slice(0, 5)} → {after.time.slice(0, 5)}
        </span>
      </summary>
      <FireTimeList times={change.fire_times} />
    </details>
  );
}

/** Fire times in the job's zone, in UTC, and how soon. */
export function FireTimeList({ times, faded = false }: { times: readonly FireTime[]; faded?: boolean }) {
  return (
    <ol className="fire-times" data-faded={faded || undefined}>
      {times.map((time) => {
        const local = splitLocal(time.local);
        const utc = splitLocal(time.utc);
        return (
          <li key={time.utc}>
            <div>
              <span>{local.day}</span>
              <span className="fire-time num">
                {local.time} <span className="quiet">{local.offset}</span>
              </span>
              {time.clock && <span className="fire-clock">{CLOCK[time.clock]}</span>}
            </div>
            <div className="fire-quiet">
              <Time at={time.utc} />
              {/* Where the job's own zone is UTC it stands above. */}
              {local.offset !== "+00:00" && (
                <span className="num">
                  {utc.day === local.day ? "" : `${utc.day}, `}
                  {utc.time} UTC
                </span>
              )}
            </div>
          </li>
        );
      })}
    </ol>
  );
}
