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
