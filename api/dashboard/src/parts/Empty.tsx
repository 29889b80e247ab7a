import type { ReactNode } from "react";
import "./Note.css";

interface EmptyProps {
  title: string;
  children?: ReactNode;
  actions?: ReactNode;
  /** a command line that gets the reader further */
  command?: string;
}

/** Says that there is nothing here, and what to do about it. */
export function Empty({ title, children, actions, command }: EmptyProps) {
  return (
    <div className="empty">
      <h3>{title}</h3>
      {children && <p>{children}</p>}
      {actions && <div className="empty-actions">{actions}</div>}
      {command && <pre>{command}</pre>}
    </div>
  );
}
