import { useNavigate } from "@tanstack/react-router";
import { useEffect, useState } from "react";
import { Dialog } from "../parts/Dialog";
import "./shortcuts.css";

const PLACES = { h: "/", j: "/jobs", o: "/occurrences", d: "/dead-letters", w: "/workers", l: "/limits" } as const;
const CHORD = 1_200;

const SHEET: readonly (readonly [keys: readonly string[], what: string])[] = [
  [["g", "h"], "Overview"],
  [["g", "j"], "Jobs"],
  [["g", "o"], "Occurrences"],
  [["g", "d"], "Dead letters"],
  [["g", "w"], "Workers"],
  [["g", "l"], "Limits"],
  [["/"], "Search on this page"],
  [["?"], "This sheet"],
  [["Esc"], "Close"],
];

function typing(target: EventTarget | null): boolean {
  return (
    target instanceof HTMLElement && (target.isContentEditable || /^(INPUT|TEXTAREA|SELECT)$/.test(target.tagName))
  );
}

/** The keys that work on every page. */
export function useShortcuts(): { sheet: boolean; closeSheet: () => void } {
  const navigate = useNavigate();
  const [sheet, setSheet] = useState(false);
  useEffect(() => {
    let chordUntil = 0;
    function onKey(event: KeyboardEvent): void {
      if (event.ctrlKey || event.metaKey || event.altKey || event.defaultPrevented || typing(event.target)) return;
      if (document.querySelector('[role="dialog"]')) return;
      const place = PLACES[event.key as keyof typeof PLACES];
      if (place !== undefined && Date.now() < chordUntil) {
        event.preventDefault();
        void navigate({ to: place });
      } else if (event.key === "/") {
        event.preventDefault();
        document.querySelector<HTMLInputElement>("[data-main-search]")?.focus();
      } else if (event.key === "?") {
        setSheet(true);
      }
      chordUntil = event.key === "g" ? Date.now() + CHORD : 0;
    }
    document.addEventListener("keydown", onKey);
    return () => document.removeEventListener("keydown", onKey);
  }, [navigate]);
  return { sheet, closeSheet: () => setSheet(false) };
}

/** The list of keys. */
export function ShortcutSheet({ open, onClose }: { open: boolean; onClose: () => void }) {
  return (
    <Dialog open={open} onClose={onClose} title="Keys">
      <dl className="dialog-body keys">
        {SHEET.map(([keys, what]) => (
          <div key={what}>
            <dt>{what}</dt>
            <dd>
              {keys.map((key) => (
                <kbd key={key}>{key}</kbd>
              ))}
            </dd>
          </div>
        ))}
      </dl>
    </Dialog>
  );
}
