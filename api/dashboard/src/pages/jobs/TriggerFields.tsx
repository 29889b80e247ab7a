import { useId, useMemo } from "react";
import { Field } from "../../parts/Field";
import { Segments } from "../../parts/Segments";
import { OWN_ZONE, zoneNames } from "../../time/format";
import { FormSection } from "./FormSection";
import { type FormProps, TextField } from "./TextField";

const KINDS = [
  { value: "cron", label: "Cron" },
  { value: "interval", label: "Interval" },
  { value: "once", label: "Once" },
  { value: "manual", label: "By hand" },
] as const;

const EXAMPLES = [
  { expression: "*/15 * * * *", label: "every 15 minutes" },
  { expression: "0 6 * * MON-FRI", label: "weekdays at 6" },
  { expression: "0 3 1 * *", label: "the 1st at 3" },
] as const;

/** When a job is due. */
export function TriggerFields(props: FormProps) {
  const { draft, change, problem } = props;
  return (
    <div className="form-part">
      <span className="field-label">When</span>
      <Segments label="When" value={draft.kind} options={KINDS} onChange={(kind) => change({ kind })} />
      {problem("trigger") && <p className="field-error">{problem("trigger")}</p>}
      {draft.kind === "cron" && <CronFields {...props} />}
      {draft.kind === "interval" && (
        <div className="form-row">
          <TextField {...props} name="every" field="trigger.every" label="Every" placeholder="5m" />
        </div>
      )}
      {draft.kind === "once" && (
        <div className="form-row">
          <LocalField {...props} name="at" field="trigger.at" label="At" />
          <ZoneField {...props} />
        </div>
      )}
      {draft.kind === "manual" && (
        <p className="field-hint">It runs only when it is triggered, here or over the API.</p>
      )}
      {draft.kind !== "manual" && <LimitsSection {...props} />}
    </div>
  );
}

/** The times before and after which it is not due, and by how much it may be late on purpose. */
function LimitsSection(props: FormProps) {
  const { draft } = props;
  const repeats = draft.kind !== "once";
  const said = [
    repeats && draft.startAt && `from ${draft.startAt.replace("T", " ")}`,
    repeats && draft.endAt && `until ${draft.endAt.replace("T", " ")}`,
    draft.jitter && `spread over ${draft.jitter}`,
  ];
  return (
    <FormSection
      title={repeats ? "First and last time, spread" : "Spread"}
      now={said.filter(Boolean).join(", ") || "none"}
      fields={/^trigger\.(start_at|end_at|jitter)$/}
      errors={props.errors}
    >
      <div className="form-row">
        {repeats && (
          <>
            <LocalField {...props} name="startAt" field="trigger.start_at" label="Not before" />
            <LocalField {...props} name="endAt" field="trigger.end_at" label="Not after" />
          </>
        )}
        <TextField
          {...props}
          name="jitter"
          field="trigger.jitter"
          label="Spread over"
          placeholder="none"
          hint="Each is due up to so much later, so that jobs of the same minute do not all begin at once."
        />
      </div>
      {draft.kind === "interval" && <p className="field-hint">Times are in {OWN_ZONE}, the zone of this machine.</p>}
    </FormSection>
  );
}

function CronFields(props: FormProps) {
  const { draft, change, problem } = props;
  return (
    <>
      <div className="form-row">
        <Field label="Expression" error={problem("trigger.expression")} hint="minute hour day month weekday">
          {(control) => (
            <input
              {...control}
              className="input input-mono"
              value={draft.expression}
              placeholder="0 6 * * *"
              autoComplete="off"
              spellCheck={false}
              onChange={(event) => change({ expression: event.target.value })}
            />
          )}
        </Field>
        <ZoneField {...props} />
      </div>
      {draft.expression === "" && (
        <div className="form-examples">
          {EXAMPLES.map((example) => (
            <button key={example.expression} type="button" onClick={() => change({ expression: example.expression })}>
              <code>{example.expression}</code> {example.label}
            </button>
          ))}
        </div>
      )}
    </>
  );
}

function ZoneField({ draft, change, problem }: FormProps) {
  const list = useId();
  const names = useMemo(zoneNames, []);
  return (
    <Field label="Time zone" error={problem("trigger.timezone")}>
      {(control) => (
        <>
          <input
            {...control}
            className="input"
            value={draft.timezone}
            list={list}
            autoComplete="off"
            spellCheck={false}
            onChange={(event) => change({ timezone: event.target.value })}
          />
          <datalist id={list}>
            {names.map((name) => (
              <option key={name} value={name} />
            ))}
          </datalist>
        </>
      )}
    </Field>
  );
}

interface LocalFieldProps extends FormProps {
  name: "at" | "startAt" | "endAt";
  field: string;
  label: string;
}

function LocalField({ draft, change, problem, name, field, label }: LocalFieldProps) {
  return (
    <Field label={label} error={problem(field)}>
      {(control) => (
        <input
          {...control}
          type="datetime-local"
          step={1}
          className="input"
          value={draft[name]}
          onChange={(event) => change({ [name]: event.target.value })}
        />
      )}
    </Field>
  );
}
