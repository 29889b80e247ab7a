import { useId } from "react";
import { OWN_ZONE } from "../../time/format";
import { wallTime } from "../../time/wall";

interface MomentProps {
  label: string;
  /** ISO 8601 */
  value: string | undefined;
  onChange: (value: string | undefined) => void;
}

/** An instant to filter by, on the reader's own clock. */
export function Moment({ label, value, onChange }: MomentProps) {
  const id = useId();
  return (
    <div className="moment">
      <label htmlFor={id}>{label}</label>
      <input
        id={id}
        type="datetime-local"
        className="input"
        defaultValue={value ? wallTime(value, OWN_ZONE).slice(0, 16) : ""}
        // While it is typed it is no time yet; it counts when it is left.
        onBlur={(event) => take(event.target.value)}
        onKeyDown={(event) => event.key === "Enter" && take(event.currentTarget.value)}
      />
    </div>
  );

  function take(text: string): void {
    const next = text === "" ? undefined : new Date(text).toISOString();
    if (next !== value) onChange(next);
  }
}
