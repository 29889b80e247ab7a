import type { JsonObject, JsonValue } from "../api/types";

/** A JSON Schema, or the part of one that describes a value. */
export type Schema = JsonObject;

/** One field of an object, as a form asks for it. */
export interface ShapeField {
  name: string;
  schema: Schema;
  required: boolean;
  description: string;
  /** what the handler takes when it is left out; undefined when it is not known */
  fallback: JsonValue | undefined;
}

/** How a form asks for a value. What it has no control for is `json`. */
export type Shape =
  | { kind: "text"; format: string; long: boolean }
  | { kind: "number"; whole: boolean }
  | { kind: "choice"; options: readonly JsonValue[] }
  | { kind: "list"; item: Schema }
  | { kind: "object"; fields: readonly ShapeField[]; open: boolean }
  | { kind: "json" };

/** Characters from which a text gets more than one line. */
const LONG = 200;

/** How a form asks for what `schema` describes; `root` is the whole, which references point into. */
export function shapeOf(schema: Schema, root: Schema): Shape {
  const { schema: plain } = settled(schema, root);
  const options = choices(plain);
  if (options) return { kind: "choice", options };
  switch (plain.type) {
    case "string":
      return { kind: "text", format: textOf(plain.format), long: numberOf(plain.maxLength, 0) > LONG };
    case "integer":
    case "number":
      return { kind: "number", whole: plain.type === "integer" };
    case "boolean":
      return { kind: "choice", options: [true, false] };
    case "array":
      return isSchema(plain.items) && !Array.isArray(plain.prefixItems)
        ? { kind: "list", item: plain.items }
        : { kind: "json" };
    case "object": {
      const fields = fieldsOf(plain, root);
      const open = plain.additionalProperties !== false;
      // Names that are not known beforehand are written as JSON.
      return fields.length > 0 || !open ? { kind: "object", fields, open } : { kind: "json" };
    }
    default:
      return { kind: "json" };
  }
}

function fieldsOf(schema: Schema, root: Schema): ShapeField[] {
  const required = Array.isArray(schema.required) ? schema.required : [];
  return Object.entries(isSchema(schema.properties) ? schema.properties : {})
    .filter((entry): entry is [string, Schema] => isSchema(entry[1]))
    .map(([name, field]) => {
      const plain = settled(field, root).schema;
      return {
        name,
        schema: field,
        required: required.includes(name),
        description: textOf(field.description) || textOf(plain.description),
        fallback: "default" in field ? field.default : plain.default,
      };
    })
    .sort((one, other) => place(one, root) - place(other, root));
}

/** What cannot be left out first, what takes room last; the order of a schema is lost on its way through the database. */
function place(field: ShapeField, root: Schema): number {
  const plain = settled(field.schema, root).schema;
  const roomy = plain.type === "object" || plain.type === "array";
  return (field.required ? 0 : 1) + (roomy ? 2 : 0);
}

/** The schema behind references, and behind "or null"; `nullable` says whether null is allowed. */
export function settled(schema: Schema, root: Schema): { schema: Schema; nullable: boolean } {
  let current = schema;
  let nullable = false;
  // A reference that leads to itself would never end.
  for (let step = 0; step < 20; step++) {
    const alternatives = current.anyOf ?? current.oneOf ?? current.allOf;
    if (typeof current.$ref === "string") current = target(current.$ref, root);
    else if (Array.isArray(alternatives)) {
      const others = alternatives.filter((each) => isSchema(each) && each.type !== "null");
      nullable ||= others.length < alternatives.length;
      const [only] = others;
      if (others.length !== 1 || !isSchema(only)) return { schema: current, nullable };
      current = only;
    } else if (Array.isArray(current.type)) {
      const types = current.type.filter((each) => each !== "null");
      nullable ||= types.length < current.type.length;
      const [only] = types;
      return { schema: types.length === 1 && only !== undefined ? { ...current, type: only } : {}, nullable };
    } else return { schema: current, nullable };
  }
  return { schema: {}, nullable };
}

function target(reference: string, root: Schema): Schema {
  let found: JsonValue | undefined = root;
  for (const part of reference.replace(/^#\/?/, "").split("/")) {
    const name = part.replaceAll("~1", "/").replaceAll("~0", "~");
    found = part === "" ? found : isSchema(found) ? found[name] : undefined;
  }
  return isSchema(found) ? found : {};
}

function choices(schema: Schema): readonly JsonValue[] | undefined {
  if ("const" in schema) return [schema.const ?? null];
  return Array.isArray(schema.enum) ? schema.enum.filter((each) => each !== null) : undefined;
}

/** Whether a value is an object, as schemas are. */
export function isSchema(value: JsonValue | undefined): value is JsonObject {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function textOf(value: JsonValue | undefined): string {
  return typeof value === "string" ? value : "";
}

function numberOf(value: JsonValue | undefined, otherwise: number): number {
  return typeof value === "number" ? value : otherwise;
}

/** What an empty value of this shape is: the first thing that a form puts there. */
export function blank(shape: Shape): JsonValue {
  switch (shape.kind) {
    case "list":
      return [];
    case "object":
      return {};
    case "text":
      return "";
    case "choice":
      return shape.options[0] ?? null;
    default:
      return null;
  }
}

/** A type in words, for people: `text`, `whole number`, `list of text`, `one of a, b`. */
export function spelled(schema: Schema, root: Schema): string {
  const shape = shapeOf(schema, root);
  const { nullable } = settled(schema, root);
  const text =
    shape.kind === "list"
      ? `list of ${spelled(shape.item, root)}`
      : shape.kind === "number"
        ? shape.whole
          ? "whole number"
          : "number"
        : shape.kind === "choice"
          ? shape.options.every((each) => typeof each === "boolean")
            ? "true or false"
            : `one of ${shape.options.map((each) => (typeof each === "string" ? each : JSON.stringify(each))).join(", ")}`
          : shape.kind === "text"
            ? shape.format || "text"
            : shape.kind === "object"
              ? "object"
              : "JSON";
  return nullable ? `${text}, or nothing` : text;
}
