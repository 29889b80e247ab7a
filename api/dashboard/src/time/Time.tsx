import { Tooltip } from "@base-ui/react/tooltip";
import { useTicking } from "./clock";
import { duration, localTime, relative, utcTime } from "./format";
import "./Time.css";

const tip = Tooltip.createHandle<number>();

/** The one tooltip that all times share: the instant on the reader's clock and in UTC. Mounted once, near the root. */
export function TimeTip() {
  return (
    <Tooltip.Root handle={tip}>
      {({ payload }) => (
        <Tooltip.Portal>
          <Tooltip.Positioner sideOffset={6} className="tip-place">
            <Tooltip.Popup className="tip num">
              {payload !== undefined && (
                <>
                  <span>{localTime(payload)}</span>
                  <span className="quiet">{utcTime(payload)}</span>
                </>
              )}
            </Tooltip.Popup>
          </Tooltip.Positioner>
        </Tooltip.Portal>
      )}
    </Tooltip.Root>
  );
}

interface TimeProps {
  /** ISO 8601 */
  at: string;
}

/** An instant as `12 s ago` or `in 5 m`; the absolute times on hover. */
export function Time({ at }: TimeProps) {
  const instant = Date.parse(at);
  const text = useTicking((now) => relative(instant, now));
  return <TimeElement instant={instant}>{text}</TimeElement>;
}

function TimeElement({ instant, children }: { instant: number; children: string }) {
  return (
    <Tooltip.Trigger
      handle={tip}
      payload={instant}
      delay={250}
      render={<time className="time num" dateTime={new Date(instant).toISOString()} />}
    >
      {children}
    </Tooltip.Trigger>
  );
}

/** How long something has been going on. */
export function Elapsed({ since }: { since: string }) {
  const from = Date.parse(since);
  const text = useTicking((now) => duration(Math.max(0, Math.floor((now - from) / 1_000) * 1_000)));
  return <span className="num nowrap">{text === "0 ms" ? "0 s" : text.replace(/\.0 s$/, " s")}</span>;
}
