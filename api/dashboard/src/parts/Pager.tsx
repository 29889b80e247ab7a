import { Link } from "@tanstack/react-router";

interface PagerProps {
  to: "/jobs" | "/occurrences" | "/dead-letters";
  /** the filter without its cursor */
  filter: Record<string, unknown>;
  first: boolean;
  next: string | null | undefined;
  /** what comes with the next page */
  nextLabel: string;
}

/** From one page of a list to the next; the addresses can be kept. */
export function Pager({ to, filter, first, next, nextLabel }: PagerProps) {
  if (first && !next) return null;
  return (
    <nav className="pager" aria-label="Pages of the list">
      {!first && (
        <Link to={to} search={{ ...filter }} className="button button-plain button-small">
          To the first page
        </Link>
      )}
      {next && (
        <Link to={to} search={{ ...filter, cursor: next }} className="button button-plain button-small">
          {nextLabel}
        </Link>
      )}
    </nav>
  );
}
