import { useMutation, useQuery } from "@tanstack/react-query";
import { useId, useState } from "react";
import { Problem } from "../../api/client";
import { commands } from "../../api/commands";
import type { RateLimit } from "../../api/operations";
import { queries } from "../../api/queries";
import type { FieldError } from "../../api/types";
import { Button } from "../../parts/Button";
import { Dialog, DialogFoot } from "../../parts/Dialog";
import { Field } from "../../parts/Field";
import { Form } from "../../parts/Form";
import { notify } from "../../parts/Notices";
import { ProblemNote } from "../../parts/ProblemNote";
import { Segments } from "../../parts/Segments";
import { parseSpan, spellSpan } from "../../time/span";
import { spellLimit } from "./limit";

interface LimitDialogProps {
  /** the one to change; undefined makes a new one */
  limit?: RateLimit;
  onClose: () => void;
  onDone: () => void;
}

const SCOPES = [
  { value: "type", label: "All of the type" },
  { value: "key", label: "For each value" },
] as const;

type Scope = (typeof SCOPES)[number]["value"];

/** Limits a job type, or changes its limit. */
export function LimitDialog({ limit, onClose, onDone }: LimitDialogProps) {
  const list = useId();
  const [type, setType] = useState(limit?.type ?? "");
  const [many, setMany] = useState(limit ? String(limit.count) : "");
  const [per, setPer] = useState(limit ? spellSpan(limit.per) : "1s");
  const [scope, setScope] = useState<Scope>(limit?.key === undefined ? "type" : "key");
  const [key, setKey] = useState(limit?.key ?? "");
  const [unread, setUnread] = useState<FieldError[]>([]);
  const jobs = useQuery({ ...queries.jobs({}), enabled: !limit }).data?.items ?? [];
  const saving = useMutation({
    mutationFn: commands.putRateLimit,
    onSuccess: (saved) => {
      notify(`${saved.type}: at most ${spellLimit(saved)}`);
      onDone();
    },
  });
  const refused = saving.error instanceof Problem ? saving.error.errors : [];
  const errors = [...unread, ...refused].map((error) => ({
    ...error,
    field: error.field.replace(/^(body|path)\./, ""),
  }));
  const problem = (field: string) => errors.find((error) => error.field === field)?.message;

  function submit(): void {
    const wanted = {
      type: type.trim(),
      count: Number(many),
      per: parseSpan(per),
      key: scope === "key" ? key.trim() : undefined,
    };
    const found: FieldError[] = [];
    if (wanted.type === "") found.push({ field: "type", message: "is needed" });
    if (!/^\d+$/.test(many.trim())) found.push({ field: "count", message: "is not a whole number" });
    if (wanted.per === undefined) found.push({ field: "per", message: "is not a time span such as 1s, 1m or 1h" });
    if (wanted.key === "") found.push({ field: "key", message: "is needed" });
    setUnread(found);
    if (found.length === 0 && wanted.per !== undefined) saving.mutate({ ...wanted, per: wanted.per });
  }

  return (
    <Dialog open onClose={onClose} title={limit ? `Limit of ${limit.type}` : "New limit"} keep>
      <Form onSubmit={submit} refused={unread.length > 0 ? unread : saving.error}>
        <div className="dialog-body">
          {!limit && (
            <Field label="Type" error={problem("type")} hint="Exactly this type, not a pattern.">
              {(control) => (
                <>
                  <input
                    {...control}
                    className="input"
                    value={type}
                    placeholder="sendemail.welcome"
                    list={list}
                    autoComplete="off"
                    spellCheck={false}
                    onChange={(event) => setType(event.target.value)}
                  />
                  <datalist id={list}>
                    {[...new Set(jobs.map((job) => job.type))].map((each) => (
                      <option key={each} value={each} />
                    ))}
                  </datalist>
                </>
              )}
            </Field>
          )}
          {!limit && (
            <div className="form-part">
              <Segments label="What is counted together" value={scope} options={SCOPES} onChange={setScope} />
            </div>
          )}
          {scope === "key" && (
            <Field
              label="For each"
              error={problem("key")}
              hint="A path into the payload: what has the same value there is counted together."
            >
              {(control) => (
                <input
                  {...control}
                  className="input"
                  value={key}
                  placeholder="customer.id"
                  autoComplete="off"
                  spellCheck={false}
                  onChange={(event) => setKey(event.target.value)}
                />
              )}
            </Field>
          )}
          <div className="form-row">
            <Field label="At most" error={problem("count")}>
              {(control) => (
                <input
                  {...control}
                  className="input"
                  inputMode="numeric"
                  value={many}
                  placeholder="100"
                  autoComplete="off"
                  onChange={(event) => setMany(event.target.value)}
                />
              )}
            </Field>
            <Field label="In" error={problem("per")}>
              {(control) => (
                <input
                  {...control}
                  className="input"
                  value={per}
                  placeholder="1m"
                  autoComplete="off"
                  onChange={(event) => setPer(event.target.value)}
                />
              )}
            </Field>
          </div>
          <p className="field-hint">
            After a quiet time so many start at once, and from then on they are spread evenly. For an even flow say 1 in
            1s rather than 60 in 1m.
          </p>
          {saving.isError && !errors.some((error) => /^(type|count|per|key)$/.test(error.field)) && (
            <ProblemNote error={saving.error} />
          )}
        </div>
        <DialogFoot>
          <Button onClick={onClose}>Cancel</Button>
          <Button type="submit" look="solid" busy={saving.isPending}>
            {limit ? "Save" : "Set limit"}
          </Button>
        </DialogFoot>
      </Form>
    </Dialog>
  );
}
