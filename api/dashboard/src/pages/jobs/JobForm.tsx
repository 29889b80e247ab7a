import { useQuery } from "@tanstack/react-query";
import { useId } from "react";
import { unserved } from "../../api/patterns";
import { queries } from "../../api/queries";
import { Field } from "../../parts/Field";
import { Segments } from "../../parts/Segments";
import { DEFAULTS, type Draft } from "./draft";
import "./JobForm.css";
import { TriggerFields } from "./TriggerFields";

export interface FormProps {
  draft: Draft;
  change: (changes: Partial<Draft>) => void;
  /** what is wrong with the field of this name in the API */
  problem: (field: string) => string | undefined;
}

const CONCURRENCY = [
  { value: "skip", label: "Skip" },
  { value: "queue", label: "Queue" },
  { value: "replace", label: "Replace" },
  { value: "allow", label: "Allow" },
] as const;

const CATCH_UP = [
  { value: "latest", label: "The latest" },
  { value: "all", label: "All" },
  { value: "none", label: "None" },
] as const;

/** Every field of a job. */
export function JobForm(props: FormProps) {
  const { draft, change, problem } = props;
  return (
    <div className="job-form">
      <div className="form-row">
        <Field label="Name" error={problem("name")}>
          {(control) => (
            <input
              {...control}
              className="input"
              value={draft.name}
              placeholder="welcome-mails"
              autoComplete="off"
              spellCheck={false}
              onChange={(event) => change({ name: event.target.value })}
            />
          )}
        </Field>
        <TypeField {...props} />
      </div>
      <TriggerFields {...props} />
      <Field label="Payload" error={problem("payload")} hint="A JSON object, given to the handler.">
        {(control) => (
          <textarea
            {...control}
            className="input"
            rows={4}
            value={draft.payload}
            spellCheck={false}
            onChange={(event) => change({ payload: event.target.value })}
          />
        )}
      </Field>
      <div className="form-part">
        <span className="field-label">When it is due while the one before still runs</span>
        <Segments
          label="When it is due while the one before still runs"
          value={draft.concurrency}
          options={CONCURRENCY}
          onChange={(concurrency) => change({ concurrency })}
        />
        <p className="field-hint">{OVERLAP[draft.concurrency]}</p>
        <div className="form-row form-row-3">
          {draft.concurrency !== "allow" && (
            <TextField {...props} name="maxConcurrent" field="max_concurrent" label="At once, at most" />
          )}
          {draft.concurrency === "queue" && (
            <TextField {...props} name="maxWaiting" field="max_waiting" label="Waiting, at most" />
          )}
        </div>
      </div>
      <details className="form-more">
        <summary>Retries, time limit, missed runs, description</summary>
        <div className="form-row form-row-3">
          <TextField {...props} name="maxAttempts" field="retry.max_attempts" label="Attempts" />
          <TextField {...props} name="retryDelay" field="retry.delay" label="First delay" />
          <TextField {...props} name="retryFactor" field="retry.factor" label="Growth factor" />
          <TextField {...props} name="retryMaxDelay" field="retry.max_delay" label="Longest delay" />
          <TextField {...props} name="maxLost" field="retry.max_lost" label="Lost workers, at most" />
          <TextField {...props} name="timeout" field="timeout" label="Time limit" placeholder="none" />
          <TextField {...props} name="maxRuns" field="max_runs" label="Runs, at most" placeholder="no limit" />
        </div>
        <div className="form-part">
          <span className="field-label">After an outage, run of what was missed</span>
          <div className="form-inline">
            <Segments
              label="After an outage, run of what was missed"
              value={draft.catchUp}
              options={CATCH_UP}
              onChange={(catchUp) => change({ catchUp })}
            />
            {draft.catchUp !== "none" && (
              <TextField {...props} name="catchUpWindow" field="catch_up_window" label="not older than" inline />
            )}
          </div>
        </div>
        <TextField {...props} name="tags" field="tags" label="Tags" placeholder="billing, nightly" />
        <TextField {...props} name="description" field="description" label="Description" placeholder="" />
      </details>
    </div>
  );
}

const OVERLAP = {
  skip: "It does not run, and is recorded as skipped.",
  queue: "It waits for its turn: one after the other, oldest first.",
  replace: "The one before is cancelled, and this one begins when it has stopped.",
  allow: "It runs beside the others, however many there are.",
} as const;

function TypeField({ draft, change, problem }: FormProps) {
  const list = useId();
  const workers = useQuery(queries.workers()).data?.items;
  const patterns = new Set((workers ?? []).flatMap((worker) => worker.handlers.map((handler) => handler.pattern)));
  const type = draft.type.trim();
  const nobody = workers !== undefined && type !== "" && unserved([type], workers).length > 0;
  return (
    <Field
      label="Type"
      error={problem("type")}
      hint={nobody ? "No live worker serves this type; runs will wait for one." : "Workers that serve it run the job."}
    >
      {(control) => (
        <>
          <input
            {...control}
            className="input"
            value={draft.type}
            placeholder="sendemail.welcome"
            list={list}
            autoComplete="off"
            spellCheck={false}
            onChange={(event) => change({ type: event.target.value })}
          />
          <datalist id={list}>
            {[...patterns]
              .filter((pattern) => pattern !== "#")
              .map((pattern) => (
                <option key={pattern} value={pattern.replace(/[*#]/g, "")} />
              ))}
          </datalist>
        </>
      )}
    </Field>
  );
}

type TextName = {
  [Name in keyof Draft]: Draft[Name] extends string ? (string extends Draft[Name] ? Name : never) : never;
}[keyof Draft];

interface TextFieldProps extends FormProps {
  name: TextName;
  /** the API's name of the field */
  field: string;
  label: string;
  placeholder?: string;
  inline?: boolean;
}

/** One line of text. */
export function TextField({ draft, change, problem, name, field, label, placeholder, inline = false }: TextFieldProps) {
  const shown = placeholder ?? (DEFAULTS as Partial<Record<TextName, string>>)[name];
  return (
    <div className={inline ? "form-inline-field" : undefined}>
      <Field label={label} error={problem(field)}>
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
