import { type ReactNode, useEffect, useRef } from "react";
import type { FieldError } from "../../api/types";

interface FormSectionProps {
  title: string;
  /** what its fields say now, in a few words */
  now: string;
  /** the API's names of its fields */
  fields: RegExp;
  errors: readonly FieldError[];
  children: ReactNode;
}

/** Fields that most jobs leave as they are: out of the way, with what they say beside their name. Opens when one is wrong. */
export function FormSection({ title, now, fields, errors, children }: FormSectionProps) {
  const details = useRef<HTMLDetailsElement>(null);
  const wrong = errors.some((error) => fields.test(error.field));
  useEffect(() => {
    if (wrong && details.current) details.current.open = true;
  }, [wrong]);
  return (
    <details ref={details} className="form-more">
      <summary>
        {title} <span className="form-now">{now}</span>
      </summary>
      <div className="form-part">{children}</div>
    </details>
  );
}
