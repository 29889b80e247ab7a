import { type ReactNode, useState } from "react";
import { parseJson } from "../api/json";
import type { JsonValue } from "../api/types";
import { Field } from "../parts/Field";
import { numberText } from "./check";
import { type Schema, settled, spelled } from "./shape";

export interface ValueFieldProps {
  label: string;
  hint?: string;
  schema: Schema;
  root: Schema;
  /** undefined while it is left out */
  value: JsonValue | undefined;
  /** undefined leaves it out */
  onChange: (value: JsonValue | undefined) => void;
  required: boolean;
  /** one of a list: named by its number, without a mark */
  item?: boolean;
  fallback?: JsonValue | undefined;
  /** the API's name of the value: `payload.items.0` */
  path: string;
  problem: (path: string) => string | undefined;
}

interface WrittenFieldProps extends ValueFieldProps {
  read: (text: string) => JsonValue;
  write: (value: JsonValue) => string;
  type?: "text" | "date";
  inputMode?: "decimal";
  lines?: number;
  code?: boolean;
}

/** A value that is typed. What is typed stays as it is while it means the value: `1.0` does not jump to `1`. */
export function WrittenField({
  read,
  write,
  type = "text",
  inputMode,
  lines = 1,
  code = false,
  ...rest
}: WrittenFieldProps) {
  const { label, hint, schema, root, value, onChange, required, item = false, fallback, path, problem } = rest;
  const [typed, setTyped] = useState("");
  const empty = value === undefined || value === null;
  const current = same(typed === "" ? undefined : read(typed), empty ? undefined : value)
    ? typed
    : empty
      ? ""
      : write(value);
  const shown = {
    className: code ? "input input-mono" : "input",
    value: current,
    placeholder: fallback === undefined || fallback === null ? spelled(schema, root) : `default: ${plain(fallback)}`,
    autoComplete: "off",
    spellCheck: false,
    "aria-required": required,
  };
  function change(text: string): void {
    setTyped(text);
    onChange(text === "" ? undefined : read(text));
  }
  return (
    <Field label={<Name name={label} required={required && !item} />} hint={hint || undefined} error={problem(path)}>
      {(control) =>
        lines > 1 ? (
          <textarea {...control} {...shown} rows={lines} onChange={(event) => change(event.target.value)} />
        ) : (
          <input
            {...control}
            {...shown}
            type={type}
            {...(inputMode ? { inputMode } : {})}
            onChange={(event) => change(event.target.value)}
          />
        )
      }
    </Field>
  );
}

export function ChoiceField(props: ValueFieldProps & { options: readonly JsonValue[] }) {
  const {
    label,
    hint,
    value,
    onChange,
    required,
    item = false,
    fallback,
    path,
    problem,
    options,
    schema,
    root,
  } = props;
  const chosen = options.findIndex((option) => same(option, value));
  const none =
    fallback !== undefined && fallback !== null
      ? `default: ${plain(fallback)}`
      : required && !settled(schema, root).nullable
        ? "choose"
        : "none";
  return (
    <Field label={<Name name={label} required={required && !item} />} hint={hint || undefined} error={problem(path)}>
      {(control) => (
        <select
          {...control}
          className="input"
          aria-required={required}
          value={chosen}
          onChange={(event) => onChange(options[Number(event.target.value)])}
        >
          <option value={-1}>{chosen < 0 && value !== undefined && value !== null ? plain(value) : none}</option>
          {options.map((option, index) => (
            <option key={plain(option)} value={index}>
              {plain(option)}
            </option>
          ))}
        </select>
      )}
    </Field>
  );
}

/** A field's name, marked when it cannot be left out. */
export function Name({ name, required }: { name: string; required: boolean }): ReactNode {
  return (
    <>
      {name}
      {required && <span aria-hidden="true"> *</span>}
    </>
  );
}

/** What is no number is kept as text, so that the check can name it. */
export function readNumber(text: string): JsonValue {
  try {
    const value = parseJson(text) as JsonValue;
    return numberText(value) === undefined ? text : value;
  } catch {
    return text;
  }
}

export function writeNumber(value: JsonValue): string {
  return numberText(value) ?? plain(value);
}

/** What is no JSON is taken as text. */
export function readJson(text: string): JsonValue {
  try {
    return parseJson(text) as JsonValue;
  } catch {
    return text;
  }
}

function plain(value: JsonValue): string {
  return typeof value === "string" ? value : JSON.stringify(value);
}

function same(one: JsonValue | undefined, other: JsonValue | undefined): boolean {
  return JSON.stringify(one) === JSON.stringify(other);
}
