import { useEffect, useId, useRef, useState } from "react";
import { OWN_ZONE } from "../time/format";
import { wallTime } from "../time/wall";
import "./Field.css";

interface MomentProps {
  label: string;
  /** ISO 8601 */
  value: string | undefined;
  onChange: (value: string | undefined) => void;
}

/** An instant to filter by, on the reader's own clock. */
export function Moment({ label, value, onChange }: MomentProps) {
  const id = useId();
  const [text, setText] = useState(() => shownAs(value));
  const sent = useRef(value);
  useEffect(() => {
    // The address changed by other means, e.g. the browser's back button.
    if (value !== sent.current) {
      sent.current = value;
      setText(shownAs(value));
    }
  }, [value]);

  function take(typed: string): void {
    // What is shown may be less exact than the address: it counts only when it was changed.
    if (typed === shownAs(sent.current)) return;
    sent.current = typed === "" ? undefined : new Date(typed).toISOString();
    onChange(sent.current);
  }

  return (
    <div className="moment">
      <label htmlFor={id}>{label}</label>
      <input
        id={id}
        type="datetime-local"
        className="input"
        value={text}
        onChange={(event) => setText(event.target.value)}
        // While it is typed it is no time yet; it counts when it is left.
        onBlur={(event) => take(event.target.value)}
        onKeyDown={(event) => event.key === "Enter" && take(event.currentTarget.value)}
      />
    </div>
  );
}

function shownAs(value: string | undefined): string {
  return value ? wallTime(value, OWN_ZONE).slice(0, 16) : "";
}
