import { useQuery } from "@tanstack/react-query";
import { useId } from "react";
import { handlerOf } from "../../api/patterns";
import { queries } from "../../api/queries";
import { Field } from "../../parts/Field";
import { PayloadEditor } from "../../payload/PayloadEditor";
import { useHandler } from "../../payload/useHandler";
import "./JobForm.css";
import { AboutSection, MissedSection, OverlapSection, RetrySection } from "./JobSections";
import type { FormProps } from "./TextField";
import { TriggerFields } from "./TriggerFields";

/** Every field of a job. */
export function JobForm(props: FormProps) {
  const { draft, change, problem, errors } = props;
  const handler = useHandler(draft.type.trim());
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
      <PayloadEditor
        text={draft.payload}
        onChange={(payload) => change({ payload })}
        schema={handler?.schema ?? undefined}
        errors={errors.filter((error) => /^payload\b/.test(error.field))}
      />
      <div className="form-sections">
        <OverlapSection {...props} />
        <RetrySection {...props} />
        {draft.kind !== "manual" && <MissedSection {...props} />}
        <AboutSection {...props} />
      </div>
    </div>
  );
}

function TypeField({ draft, change, problem }: FormProps) {
  const list = useId();
  const types = useQuery(queries.types()).data?.items;
  const type = draft.type.trim();
  const handler = types && handlerOf(type, types);
  const unserved = types !== undefined && type !== "" && !handler;
  const patterns = new Set((types ?? []).map((each) => each.pattern));
  return (
    <Field
      label="Type"
      error={problem("type")}
      hint={
        unserved
          ? "No live worker serves this type; runs will wait for one."
          : handler?.doc || "Workers that serve it run the job."
      }
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
