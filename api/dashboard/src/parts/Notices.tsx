import { type ReactNode, useSyncExternalStore } from "react";
import { CloseIcon } from "./icons";
import "./Notices.css";

interface Notice {
  id: number;
  look: "plain" | "danger";
  content: ReactNode;
}

const STAY = 7_000;
let notices: readonly Notice[] = [];
let next = 1;
const listeners = new Set<() => void>();

function change(to: readonly Notice[]): void {
  notices = to;
  for (const tell of listeners) tell();
}

function dismiss(id: number): void {
  change(notices.filter((notice) => notice.id !== id));
}

/** Say something at the edge of the page for some seconds. */
export function notify(content: ReactNode, look: Notice["look"] = "plain"): void {
  const id = next++;
  change([...notices.slice(-2), { id, look, content }]);
  setTimeout(() => dismiss(id), STAY);
}

function subscribe(listener: () => void): () => void {
  listeners.add(listener);
  return () => listeners.delete(listener);
}

/** Where notices appear; readers of screens hear them. */
export function Notices() {
  const shown = useSyncExternalStore(subscribe, () => notices);
  return (
    <div className="notices" role="status" aria-live="polite">
      {shown.map((notice) => (
        <div key={notice.id} className={`notice notice-${notice.look}`}>
          <div>{notice.content}</div>
          <button
            type="button"
            className="button button-ghost button-icon"
            aria-label="Dismiss"
            onClick={() => dismiss(notice.id)}
          >
            <CloseIcon />
          </button>
        </div>
      ))}
    </div>
  );
}
