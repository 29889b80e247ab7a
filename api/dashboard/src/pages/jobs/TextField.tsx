import type { FieldError } from "../../api/types";
import { Field } from "../../parts/Field";
import { DEFAULTS, type Draft } from "./draft";

/** What every part of the form of a job gets. */
export interface FormProps {
  draft: Draft;
  change: (changes: Partial<Draft>) => void;
  /** what is wrong, by the API's names of fields */
  errors: readonly FieldError[];
  /** what is wrong with the field of this name */
  problem: (field: string) => string | undefined;
}

type TextName = {
  [Name in keyof Draft]: Draft[Name] extends string ? (string extends Draft[Name] ? Name : never) : never;
}[keyof Draft];

interface TextFieldProps extends FormProps {
  name: TextName;
  /** the API's name of the field */
  field: string;
  label: string;
  hint?: string;
  placeholder?: string;
  inline?: boolean;
}

/** One line of text. */
export function TextField({ draft, change, problem, name, field, label, hint, placeholder, inline }: TextFieldProps) {
  const shown = placeholder ?? (DEFAULTS as Partial<Record<TextName, string>>)[name];
  return (
    <div className={inline ? "form-inline-field" : undefined}>
      <Field label={label} hint={hint} error={problem(field)}>
        {(control) => (
          <input
            {...control}
            className="input"
            value={draft[name]}
            placeholder={shown}
            autoComplete="off"
            onChange={(event) => change({ [name]: event.target.value })}
          />
        )}
      </Field>
    </div>
  );
}
