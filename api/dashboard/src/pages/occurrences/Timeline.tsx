import type { OccurrenceDetail } from "../../api/types";
import { StateMark } from "../../states/StateBadge";
import { clockTime, dayOf, duration, localTime } from "../../time/format";
import { Time } from "../../time/Time";
import { stepsOf } from "./events";

/** An occurrence's life, step by step, with what went wrong on the way. */
export function Timeline({ occurrence }: { occurrence: OccurrenceDetail }) {
  const steps = stepsOf(occurrence);
  return (
    <ol className="timeline">
      {steps.map((step, index) => (
        // biome-ignore lint/suspicious/noArrayIndexKey: steps are only added at the end
        <li key={index}>
          <StateMark state={step.mark} />
          <div className="timeline-what">
            <span>{step.title}</span>
            {step.note && <span className="quiet"> {step.note}</span>}
            {step.failure && (
              <p className="timeline-failure" title={step.failure.message}>
                {step.failure.type}: {step.failure.message}
              </p>
            )}
          </div>
          <div className="timeline-when num">
            {step.at && (
              <>
                <span title={localTime(Date.parse(step.at))}>
                  {onAnotherDay(steps[index - 1]?.at, step.at) && `${dayOf(Date.parse(step.at))}, `}
                  {clockTime(Date.parse(step.at))}
                </span>
                <span className="quiet">
                  {index === 0 || step.after === null ? (
                    <Time at={step.at} />
                  ) : step.after >= 0 ? (
                    `+${duration(step.after)}`
                  ) : (
                    ""
                  )}
                </span>
              </>
            )}
          </div>
        </li>
      ))}
    </ol>
  );
}

/** Whether a step needs its date said: the first does where it is not of today, others where it is not that of the one before. */
function onAnotherDay(before: string | null | undefined, at: string): boolean {
  return dayOf(before ? Date.parse(before) : Date.now()) !== dayOf(Date.parse(at));
}
