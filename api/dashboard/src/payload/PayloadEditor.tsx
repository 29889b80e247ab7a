import { useMemo, useState } from "react";
import { parseJson, printJson } from "../api/json";
import type { FieldError, JsonObject, JsonValue } from "../api/types";
import { Field } from "../parts/Field";
import { Segments } from "../parts/Segments";
import { MISSING, misfits } from "./check";
import "./payload.css";
import { isSchema, type Schema, shapeOf } from "./shape";
import { ObjectFields } from "./ValueField";

interface PayloadEditorProps {
  /** JSON as it is typed: what the form writes, too */
  text: string;
  onChange: (text: string) => void;
  /** what the handler takes, where it says so */
  schema: Schema | undefined;
  /** what is wrong, by the API's names of fields */
  errors: readonly FieldError[];
  rows?: number;
}

const WAYS = [
  { value: "form", label: "Form" },
  { value: "json", label: "JSON" },
] as const;

/** A payload, as a form where the handler announces what it takes, or as JSON. */
export function PayloadEditor({ text, onChange, schema, errors, rows = 4 }: PayloadEditorProps) {
  const [chosen, setChosen] = useState<"form" | "json">();
  const value = useMemo(() => objectIn(text), [text]);
  const shape = schema && shapeOf(schema, schema);
  const fields = shape?.kind === "object" && shape.fields.length > 0 ? shape : undefined;
  const way = fields && value ? (chosen ?? "form") : "json";
  const advice = schema && value ? misfits(value, schema, schema, "payload") : [];
  // What is only missing yet is left to the server to say.
  const found = [...errors, ...advice.filter((each) => each.message !== MISSING)];
  const problem = (path: string) => found.find((each) => each.field === path)?.message;
  if (!fields) {
    return <JsonEditor text={text} onChange={onChange} error={first(errors)} advice={advice} rows={rows} />;
  }
  return (
    <fieldset className="payload">
      <legend className="hidden-text">Payload</legend>
      <div className="payload-head">
        <span className="field-label" aria-hidden="true">
          Payload
        </span>
        <Segments label="Write the payload as" value={way} options={WAYS} onChange={setChosen} />
      </div>
      {way === "form" && value && schema ? (
        <>
          {problem("payload") && <p className="field-error">{problem("payload")}</p>}
          <ObjectFields
            shape={fields}
            root={schema}
            value={value}
            onChange={(changed) => onChange(printJson(changed))}
            path="payload"
            problem={problem}
          />
        </>
      ) : (
        <JsonEditor
          text={text}
          onChange={(changed) => {
            // Not to turn into a form under the fingers once it can be read again.
            setChosen("json");
            onChange(changed);
          }}
          error={first(errors)}
          advice={advice}
          rows={rows}
        />
      )}
    </fieldset>
  );
}

interface JsonEditorProps {
  text: string;
  onChange: (text: string) => void;
  error: string | undefined;
  advice: readonly FieldError[];
  rows: number;
}

function JsonEditor({ text, onChange, error, advice, rows }: JsonEditorProps) {
  const hint =
    advice.length > 0
      ? `The handler would refuse it: ${advice.map((each) => `${each.field.replace(/^payload\.?/, "") || "it"} ${each.message}`).join("; ")}.`
      : "A JSON object, given to the handler.";
  return (
    <Field label="Payload" error={error} hint={hint}>
      {(control) => (
        <textarea
          {...control}
          className="input"
          rows={rows}
          value={text}
          spellCheck={false}
          onChange={(event) => onChange(event.target.value)}
        />
      )}
    </Field>
  );
}

/** All that is wrong with the payload, in a line. */
function first(errors: readonly FieldError[]): string | undefined {
  const texts = errors.map((each) => `${each.field.replace(/^payload\.?/, "")} ${each.message}`.trim());
  return texts.length > 0 ? texts.join("; ") : undefined;
}

function objectIn(text: string): JsonObject | undefined {
  try {
    const value = parseJson(text.trim() || "{}") as JsonValue;
    return isSchema(value) ? value : undefined;
  } catch {
    return undefined;
  }
}
