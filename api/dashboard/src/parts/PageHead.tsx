import type { ReactNode } from "react";
import "./PageHead.css";

interface PageHeadProps {
  title: ReactNode;
  /** beside the title */
  mark?: ReactNode;
  /** a line below */
  sub?: ReactNode;
  actions?: ReactNode;
}

/** What a page is about, and what can be done about it. */
export function PageHead({ title, mark, sub, actions }: PageHeadProps) {
  return (
    <header className="page-head">
      <div className="page-title">
        <h1>{title}</h1>
        {mark}
        {sub && <p className="page-sub">{sub}</p>}
      </div>
      {actions && <div className="page-actions">{actions}</div>}
    </header>
  );
}
