import { Segments } from "../../parts/Segments";
import { DEFAULTS, type Draft } from "./draft";
import { FormSection } from "./FormSection";
import { type FormProps, TextField } from "./TextField";

const CONCURRENCY = [
  { value: "skip", label: "Skip" },
  { value: "queue", label: "Queue" },
  { value: "replace", label: "Replace" },
  { value: "allow", label: "Allow" },
] as const;

const OVERLAP = {
  skip: "It does not run, and is recorded as skipped.",
  queue: "It waits for its turn: one after the other, oldest first.",
  replace: "The one before is cancelled, and this one begins when it has stopped.",
  allow: "It runs beside the others, however many there are.",
} as const;

/** What happens when occurrences of the job meet, and which goes first. */
export function OverlapSection(props: FormProps) {
  const { draft, change } = props;
  const kept = draft.concurrency !== "allow";
  return (
    <FormSection
      title="Overlap and priority"
      now={overlapNow(draft)}
      fields={/^(concurrency|concurrency_key|max_concurrent|max_waiting|priority)$/}
      errors={props.errors}
    >
      <span className="field-label">When it is due while the one before still runs</span>
      <Segments
        label="When it is due while the one before still runs"
        value={draft.concurrency}
        options={CONCURRENCY}
        onChange={(concurrency) => change({ concurrency })}
      />
      <p className="field-hint">{OVERLAP[draft.concurrency]}</p>
      <div className="form-row">
        {kept && <TextField {...props} name="maxConcurrent" field="max_concurrent" label="At once, at most" />}
        {draft.concurrency === "queue" && (
          <TextField {...props} name="maxWaiting" field="max_waiting" label="Waiting, at most" />
        )}
        {kept && (
          <TextField
            {...props}
            name="concurrencyKey"
            field="concurrency_key"
            label="Apart for each"
            placeholder="customer.id"
            hint="A path into the payload: those of one value meet only each other."
          />
        )}
        <TextField
          {...props}
          name="priority"
          field="priority"
          label="Priority"
          hint="0 to 9. Of a backlog of one type the highest goes first."
        />
      </div>
    </FormSection>
  );
}

/** What follows a failure, and when it is enough. */
export function RetrySection(props: FormProps) {
  return (
    <FormSection
      title="Retries, time limit"
      now={retryNow(props.draft)}
      fields={/^(retry\..+|timeout|disable_after)$/}
      errors={props.errors}
    >
      <div className="form-row form-row-3">
        <TextField {...props} name="maxAttempts" field="retry.max_attempts" label="Attempts" />
        <TextField {...props} name="retryDelay" field="retry.delay" label="First delay" />
        <TextField {...props} name="retryFactor" field="retry.factor" label="Growth factor" />
        <TextField {...props} name="retryMaxDelay" field="retry.max_delay" label="Longest delay" />
        <TextField {...props} name="maxLost" field="retry.max_lost" label="Lost workers, at most" />
        <TextField {...props} name="timeout" field="timeout" label="Time limit" placeholder="none" />
      </div>
      <TextField
        {...props}
        name="disableAfter"
        field="disable_after"
        label="Disable after failures in a row"
        placeholder="never"
        hint="When so many occurrences have failed for good, one after the other, the job is paused."
      />
    </FormSection>
  );
}

const CATCH_UP = [
  { value: "latest", label: "The latest" },
  { value: "all", label: "All" },
  { value: "none", label: "None" },
] as const;

/** What becomes of fire times that were not dispatched, and how many there are in all. */
export function MissedSection(props: FormProps) {
  const { draft, change } = props;
  return (
    <FormSection
      title="Missed runs, number of runs"
      now={missedNow(draft)}
      fields={/^(catch_up|catch_up_window|max_runs)$/}
      errors={props.errors}
    >
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
      <div className="form-row">
        <TextField
          {...props}
          name="maxRuns"
          field="max_runs"
          label="Runs, at most"
          placeholder="no limit"
          hint="After so many its schedule has ended."
        />
      </div>
    </FormSection>
  );
}

/** What is for people and filters. */
export function AboutSection(props: FormProps) {
  const { description, tags } = props.draft;
  const said = [description && `“${description.slice(0, 40)}${description.length > 40 ? "…" : ""}”`, tags];
  return (
    <FormSection
      title="Description, tags"
      now={said.filter(Boolean).join(", ") || "none"}
      fields={/^(description|tags)\b/}
      errors={props.errors}
    >
      <TextField {...props} name="description" field="description" label="Description" placeholder="" />
      <TextField {...props} name="tags" field="tags" label="Tags" placeholder="billing, nightly" />
    </FormSection>
  );
}

function or(draft: Draft, name: keyof typeof DEFAULTS): string {
  return draft[name].trim() || DEFAULTS[name];
}

function overlapNow(draft: Draft): string {
  const most = or(draft, "maxConcurrent");
  const key = draft.concurrencyKey.trim();
  const places = most === "1" ? "one at a time" : `${most} at once`;
  const overlap = draft.concurrency === "allow" ? "allow" : `${draft.concurrency}, ${places}`;
  const priority = or(draft, "priority");
  return [
    overlap,
    key !== "" && draft.concurrency !== "allow" && `for each ${key}`,
    priority !== DEFAULTS.priority && `priority ${priority}`,
  ]
    .filter(Boolean)
    .join(", ");
}

function retryNow(draft: Draft): string {
  const attempts = or(draft, "maxAttempts");
  const failures = draft.disableAfter.trim();
  return [
    attempts === "1" ? "no retry" : `${attempts} attempts, first delay ${or(draft, "retryDelay")}`,
    draft.timeout.trim() === "" ? "no time limit" : `${draft.timeout.trim()} each`,
    failures !== "" && `disabled after ${failures} failures`,
  ]
    .filter(Boolean)
    .join(", ");
}

function missedNow(draft: Draft): string {
  const missed =
    draft.catchUp === "none"
      ? "missed ones do not run"
      : `${draft.catchUp}, not older than ${or(draft, "catchUpWindow")}`;
  return draft.maxRuns.trim() === "" ? missed : `${missed}, ${draft.maxRuns.trim()} runs`;
}
