import type { Progress as ProgressValue } from "../api/types";
import "./Progress.css";

/** How far a run is, as its handler says. */
export function ProgressBar({ progress }: { progress: ProgressValue }) {
  const fraction = progress.fraction === null ? null : Math.min(1, Math.max(0, progress.fraction));
  const percent = fraction === null ? null : Math.floor(fraction * 100);
  return (
    <div className="progress">
      <div
        className="progress-track"
        role="progressbar"
        aria-valuemin={0}
        aria-valuemax={100}
        aria-label="Progress"
        {...(percent === null ? {} : { "aria-valuenow": percent })}
      >
        {fraction !== null && <div className="progress-fill" style={{ transform: `scaleX(${fraction})` }} />}
      </div>
      <span className="progress-text num">
        {percent !== null && `${percent} %`}
        {progress.message && <span className="quiet"> {progress.message}</span>}
      </span>
    </div>
  );
}
