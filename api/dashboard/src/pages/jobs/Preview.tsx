import { useQuery } from "@tanstack/react-query";
import { useEffect, useState } from "react";
import { Problem } from "../../api/client";
import { queries } from "../../api/queries";
import type { FireTime, Trigger } from "../../api/types";
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
    errors: enabled && current && preview.error instanceof Problem ? preview.error.errors : [],
    failure: enabled && preview.isError ? preview.error : undefined,
    /** what is shown belongs to what was typed before */
    behind: !current || preview.isPlaceholderData,
  };
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
            </div>
            <div className="fire-quiet">
              <Time at={time.utc} />
              <span className="num">
                {utc.day === local.day ? "" : `${utc.day}, `}
                {utc.time} UTC
              </span>
            </div>
          </li>
        );
      })}
    </ol>
  );
}
