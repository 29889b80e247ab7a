import type { FieldError, JsonObject, JsonValue } from "../api/types";
import { isSchema, type Schema, settled, shapeOf } from "./shape";

/** What is said of a field that is not there. */
export const MISSING = "is needed";

/**
 * Where a value is not what the schema says, as far as a form can tell; the server has the last word. Fields are named as the API
 * names them: `payload.items.0.sku`.
 */
export function misfits(value: JsonValue | undefined, schema: Schema, root: Schema, path: string): FieldError[] {
  const { schema: plain, nullable } = settled(schema, root);
  if (value === null && (nullable || plain.type === undefined || plain.type === "null")) return [];
  const wrong = (message: string): FieldError[] => [{ field: path, message }];
  const shape = shapeOf(schema, root);
  switch (shape.kind) {
    case "text":
      if (typeof value !== "string") return wrong("has to be text");
      return textLimits(value, plain).map((message) => ({ field: path, message }));
    case "number": {
      const text = numberText(value);
      if (text === undefined) return wrong(shape.whole ? "has to be a whole number" : "has to be a number");
      if (shape.whole && !/^-?\d+$/.test(text)) return wrong("has to be a whole number");
      return numberLimits(Number(text), plain).map((message) => ({ field: path, message }));
    }
    case "choice": {
      const known = shape.options.some((option) => JSON.stringify(option) === JSON.stringify(value));
      return known ? [] : wrong(`has to be one of ${shape.options.map((option) => JSON.stringify(option)).join(", ")}`);
    }
    case "list":
      return Array.isArray(value)
        ? value.flatMap((item, index) => misfits(item, shape.item, root, `${path}.${index}`))
        : wrong("has to be a list");
    case "object":
      return isSchema(value) && !isRaw(value) ? objectMisfits(value, shape, root, path) : wrong("has to be an object");
    case "json":
      if (plain.type === "object" && (!isSchema(value) || isRaw(value))) return wrong("has to be a JSON object");
      return plain.type === "array" && !Array.isArray(value) ? wrong("has to be a JSON list") : [];
  }
}

function objectMisfits(
  value: JsonObject,
  shape: Extract<ReturnType<typeof shapeOf>, { kind: "object" }>,
  root: Schema,
  path: string,
): FieldError[] {
  const names = new Set(shape.fields.map((field) => field.name));
  const unknown = shape.open ? [] : Object.keys(value).filter((name) => !names.has(name));
  return [
    ...shape.fields.flatMap((field) => {
      const at = `${path}.${field.name}`;
      if (field.name in value) return misfits(value[field.name], field.schema, root, at);
      return field.required ? [{ field: at, message: MISSING }] : [];
    }),
    ...unknown.map((name) => ({ field: `${path}.${name}`, message: "is not a field that the handler takes" })),
  ];
}

function textLimits(value: string, schema: Schema): string[] {
  const { minLength, maxLength } = schema;
  if (typeof minLength === "number" && value.length < minLength) {
    return [minLength === 1 ? "may not be empty" : `has to have at least ${minLength} characters`];
  }
  if (typeof maxLength === "number" && value.length > maxLength) return [`may have at most ${maxLength} characters`];
  return [];
}

function numberLimits(value: number, schema: Schema): string[] {
  const { minimum, maximum, exclusiveMinimum, exclusiveMaximum } = schema;
  if (typeof minimum === "number" && value < minimum) return [`has to be at least ${minimum}`];
  if (typeof maximum === "number" && value > maximum) return [`may be at most ${maximum}`];
  if (typeof exclusiveMinimum === "number" && value <= exclusiveMinimum) return [`has to be above ${exclusiveMinimum}`];
  if (typeof exclusiveMaximum === "number" && value >= exclusiveMaximum) return [`has to be below ${exclusiveMaximum}`];
  return [];
}

interface RawNumber {
  rawJSON: string;
}
const isRawJSON = (JSON as { isRawJSON?: (value: unknown) => boolean }).isRawJSON;

function isRaw(value: unknown): value is RawNumber {
  return isRawJSON?.(value) ?? false;
}

/** A number as it is written, those included that JavaScript cannot hold; undefined for what is no number. */
export function numberText(value: JsonValue | undefined): string | undefined {
  if (isRaw(value)) return value.rawJSON;
  return typeof value === "number" ? String(value) : undefined;
}
