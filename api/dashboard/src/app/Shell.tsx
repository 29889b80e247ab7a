import { Link, Outlet } from "@tanstack/react-router";
import { Notices } from "../parts/Notices";
import { TimeTip } from "../time/Time";
import { BASE_PATH } from "./basePath";
import { LiveChip } from "./LiveChip";
import "./Shell.css";
import { ShortcutSheet, useShortcuts } from "./shortcuts";

const PAGES = [
  { to: "/", label: "Overview" },
  { to: "/jobs", label: "Jobs" },
  { to: "/occurrences", label: "Occurrences" },
  { to: "/dead-letters", label: "Dead letters" },
  { to: "/workers", label: "Workers" },
  { to: "/limits", label: "Limits" },
] as const;

/** What surrounds every page. */
export function Shell() {
  const shortcuts = useShortcuts();
  return (
    <>
      <a className="skip-link" href="#main">
        To the content
      </a>
      <header className="bar">
        <div className="bar-inner">
          <Link to="/" className="brand">
            <img src={`${BASE_PATH}/leveret.svg`} alt="" width="22" height="22" />
            Leveret
          </Link>
          <nav className="nav" aria-label="Pages">
            {PAGES.map((page) => (
              <Link key={page.to} to={page.to} activeOptions={{ exact: page.to === "/", includeSearch: false }}>
                {page.label}
              </Link>
            ))}
          </nav>
          <LiveChip />
        </div>
      </header>
      <main id="main" className="main" tabIndex={-1}>
        <Outlet />
      </main>
      <Notices />
      <TimeTip />
      <ShortcutSheet open={shortcuts.sheet} onClose={shortcuts.closeSheet} />
    </>
  );
}
