import type { ReactNode } from "react";
import "./Tag.css";

/** A filter that is on, with its name and value; a press takes it off. */
export function FilterTag({ onRemove, children }: { onRemove: () => void; children: ReactNode }) {
  return (
    <button type="button" className="tag tag-off" onClick={onRemove}>
      {children} <span aria-hidden="true">✕</span>
      <span className="hidden-text">, remove this filter</span>
    </button>
  );
}

/** Marks a paused job, with the reason where one was given. */
export function PausedTag({ reason }: { reason: string | null }) {
  return (
    <span className="tag tag-paused" title={reason ? `Paused: ${reason}` : "Paused"}>
      paused
    </span>
  );
}

/** Marks a job whose type no live worker serves. */
export function UnservedTag({ type }: { type: string }) {
  return (
    <span className="tag tag-unserved" title={`No live worker serves ${type}: runs wait for one`}>
      no worker
    </span>
  );
}

/** Marks a job that is declared beside its handler. */
export function CodeTag() {
  return (
    <span className="tag" title="Declared in code: what is changed here stays until that code changes">
      from code
    </span>
  );
}
