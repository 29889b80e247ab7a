import type { ReactNode } from "react";
import "./Panel.css";

interface PanelProps {
  title?: ReactNode;
  /** at the right of the title */
  aside?: ReactNode;
  /** whether the content comes to the edge, as a table does */
  flush?: boolean;
  className?: string;
  children: ReactNode;
}

/** A titled part of a page. */
export function Panel({ title, aside, flush = false, className, children }: PanelProps) {
  return (
    <section className={["panel", flush && "panel-flush", className].filter(Boolean).join(" ")}>
      {title !== undefined && (
        <header className="panel-head">
          <h2>{title}</h2>
          {aside !== undefined && <div className="panel-aside">{aside}</div>}
        </header>
      )}
      <div className="panel-body">{children}</div>
    </section>
  );
}

/** Names and values, one pair a line. */
export function Facts({ children }: { children: ReactNode }) {
  return <dl className="facts">{children}</dl>;
}

/** One pair of `Facts`. */
export function Fact({ name, children }: { name: string; children: ReactNode }) {
  return (
    <div className="fact">
      <dt>{name}</dt>
      <dd>{children}</dd>
    </div>
  );
}
