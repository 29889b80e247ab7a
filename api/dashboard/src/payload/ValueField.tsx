import { printJson } from "../api/json";
import type { JsonObject, JsonValue } from "../api/types";
import { Button } from "../parts/Button";
import { CloseIcon, PlusIcon } from "../parts/icons";
import {
  ChoiceField,
  Name,
  readJson,
  readNumber,
  type ValueFieldProps,
  WrittenField,
  writeNumber,
} from "./PlainFields";
import { blank, isSchema, type Schema, type Shape, settled, shapeOf } from "./shape";

/** The control for one value, as its schema asks for it. */
export function ValueField(props: ValueFieldProps) {
  const { schema, root } = props;
  const shape = shapeOf(schema, root);
  switch (shape.kind) {
    case "list":
    case "object":
      return <NestedField {...props} shape={shape} />;
    case "choice":
      return <ChoiceField {...props} options={shape.options} />;
    case "number":
      return <WrittenField {...props} read={readNumber} write={writeNumber} inputMode="decimal" />;
    case "text":
      return (
        <WrittenField
          {...props}
          read={(text) => text}
          write={(value) => (typeof value === "string" ? value : printJson(value))}
          type={shape.format === "date" ? "date" : "text"}
          lines={shape.long ? 4 : 1}
        />
      );
    case "json":
      return <WrittenField {...props} read={readJson} write={printJson} lines={3} code />;
  }
}

interface NestedProps extends ValueFieldProps {
  shape: Extract<Shape, { kind: "list" | "object" }>;
}

/** A list or an object inside of a payload: its own frame, which can be left out where the handler allows it. */
function NestedField(props: NestedProps) {
  const { label, hint, value, onChange, required, item = false, shape, path, problem } = props;
  const missing = value === undefined || value === null;
  const wrong = problem(path);
  return (
    <fieldset className="nested">
      <legend>
        <Name name={label} required={required && !item} />
      </legend>
      {hint && <p className="field-hint">{hint}</p>}
      {wrong && <p className="field-error">{wrong}</p>}
      {missing && shape.kind === "object" ? (
        <Button size="small" icon={<PlusIcon />} onClick={() => onChange(blank(shape))} aria-label={`Add ${label}`}>
          Add
        </Button>
      ) : shape.kind === "list" ? (
        <ListItems {...props} schemaOfItems={shape.item} />
      ) : (
        <ObjectFields
          {...props}
          shape={shape}
          value={isSchema(value) ? value : {}}
          onChange={(changed) => onChange(changed)}
        />
      )}
      {!missing && !required && shape.kind === "object" && (
        <Button size="small" look="ghost" onClick={() => onChange(undefined)} aria-label={`Leave out ${label}`}>
          Leave out
        </Button>
      )}
    </fieldset>
  );
}

function ListItems({ schemaOfItems, ...props }: ValueFieldProps & { schemaOfItems: Schema }) {
  const { label, root, value, onChange, required, path, problem } = props;
  const items = Array.isArray(value) ? value : [];
  const empty = blank(shapeOf(schemaOfItems, root));
  const change = (next: JsonValue[]) => onChange(next.length === 0 && !required ? undefined : next);
  return (
    <>
      {items.map((each, index) => (
        // biome-ignore lint/suspicious/noArrayIndexKey: an item has no other name
        <div key={index} className="nested-item">
          <ValueField
            label={`${label} ${index + 1}`}
            schema={schemaOfItems}
            item
            root={root}
            value={each}
            onChange={(changed) => change(items.map((old, at) => (at === index ? (changed ?? empty) : old)))}
            required
            path={`${path}.${index}`}
            problem={problem}
          />
          <Button
            look="ghost"
            className="button-icon"
            aria-label={`Remove ${label} ${index + 1}`}
            onClick={() => change(items.filter((_, at) => at !== index))}
          >
            <CloseIcon />
          </Button>
        </div>
      ))}
      <Button size="small" icon={<PlusIcon />} aria-label={`Add to ${label}`} onClick={() => change([...items, empty])}>
        Add
      </Button>
    </>
  );
}

interface ObjectFieldsProps {
  shape: Extract<Shape, { kind: "object" }>;
  root: Schema;
  value: JsonObject;
  onChange: (value: JsonObject) => void;
  path: string;
  problem: (path: string) => string | undefined;
}

const ANYTHING: Schema = {};

/** The fields of an object, those that its schema does not know as JSON. */
export function ObjectFields({ shape, root, value, onChange, path, problem }: ObjectFieldsProps) {
  const names = new Set(shape.fields.map((field) => field.name));
  const others = Object.fromEntries(Object.entries(value).filter(([name]) => !names.has(name)));
  const unknown = Object.keys(others);
  return (
    <div className="object-fields">
      {shape.fields.map((field) => (
        <ValueField
          key={field.name}
          label={field.name}
          hint={field.description}
          schema={field.schema}
          root={root}
          value={value[field.name]}
          required={field.required}
          fallback={field.fallback}
          path={`${path}.${field.name}`}
          problem={problem}
          onChange={(changed) => {
            const { [field.name]: _, ...rest } = value;
            const gone = field.required && settled(field.schema, root).nullable ? null : undefined;
            const next = changed ?? gone;
            // In place where it was, so that the JSON does not jump about.
            onChange(next === undefined ? rest : { ...value, [field.name]: next });
          }}
        />
      ))}
      {unknown.length > 0 && (
        <ValueField
          label="Other fields"
          hint="Fields that the handler does not name; JSON."
          schema={ANYTHING}
          root={root}
          value={others}
          required={false}
          path={`${path}.${unknown[0]}`}
          problem={problem}
          onChange={(changed) => {
            const known = Object.fromEntries(Object.entries(value).filter(([name]) => names.has(name)));
            if (changed === undefined) onChange(known);
            else if (isSchema(changed)) onChange({ ...known, ...changed });
          }}
        />
      )}
    </div>
  );
}
