import { type ComponentProps, type ReactNode, useId } from "react";
import "./Field.css";

interface FieldProps {
  label: ReactNode;
  hint?: ReactNode;
  error?: string | undefined;
  /** makes the control: spread the given props onto it */
  children: (control: Pick<ComponentProps<"input">, "id" | "aria-describedby" | "aria-invalid">) => ReactNode;
}

/** A labelled control with a hint and, in its place, what is wrong. */
export function Field({ label, hint, error, children }: FieldProps) {
  const id = useId();
  const note = `${id}-note`;
  const described = error !== undefined || hint !== undefined;
  return (
    <div className="field">
      <label htmlFor={id}>{label}</label>
      {children({
        id,
        ...(described ? { "aria-describedby": note } : {}),
        ...(error === undefined ? {} : { "aria-invalid": true }),
      })}
      {error !== undefined ? (
        <p id={note} className="field-error">
          {error}
        </p>
      ) : (
        hint !== undefined && (
          <p id={note} className="field-hint">
            {hint}
          </p>
        )
      )}
    </div>
  );
}
