import { cleanup, fireEvent, render, screen } from "@testing-library/react";
import { useState } from "react";
import { afterEach, describe, expect, it } from "vitest";
import { misfits } from "./check";
import { PayloadEditor } from "./PayloadEditor";
import { type Schema, shapeOf, spelled } from "./shape";

const schema: Schema = {
  type: "object",
  properties: {
    to: { type: "string", description: "Who gets it" },
    copies: { type: "integer", minimum: 1, default: 1 },
    look: { $ref: "#/$defs/Look" },
    lines: { type: "array", items: { $ref: "#/$defs/Line" } },
    note: { anyOf: [{ type: "string" }, { type: "null" }], default: null },
    extra: { type: "object", additionalProperties: { type: "integer" } },
  },
  required: ["to"],
  additionalProperties: false,
  $defs: {
    Look: { enum: ["plain", "bold"] },
    Line: { type: "object", properties: { sku: { type: "string" } }, required: ["sku"] },
    Loop: { $ref: "#/$defs/Loop" },
  },
};
const part = (name: string) => (schema.properties as Record<string, Schema>)[name] ?? {};

describe("a schema", () => {
  it("says how to ask for each value", () => {
    const kinds = ["to", "copies", "look", "lines", "note", "extra"].map((name) => shapeOf(part(name), schema).kind);
    expect(kinds).toEqual(["text", "number", "choice", "list", "text", "json"]);
  });

  it("is spelled for people", () => {
    expect(spelled(part("note"), schema)).toBe("text, or nothing");
    expect(spelled(part("look"), schema)).toBe("one of plain, bold");
    expect(spelled(part("lines"), schema)).toBe("list of object");
  });

  it("asks first for what cannot be left out, last for what takes room", () => {
    const shape = shapeOf({ ...schema, required: ["note"] }, schema);
    const names = shape.kind === "object" ? shape.fields.map((field) => field.name) : [];
    expect(names).toEqual(["note", "to", "copies", "look", "lines", "extra"]);
  });

  it("that leads to itself ends", () => expect(shapeOf({ $ref: "#/$defs/Loop" }, schema).kind).toBe("json"));
});

describe("a payload", () => {
  const wrong = (payload: Schema) => misfits(payload, schema, schema, "payload").map((each) => each.field);

  it("that fits has nothing wrong", () =>
    expect(wrong({ to: "ada", copies: 2, lines: [{ sku: "a" }], note: null, extra: { n: 1 } })).toEqual([]));

  it("names each part that does not fit as the API would", () =>
    expect(wrong({ copies: 0, look: "loud", lines: [{ sku: 1 }], extra: [], more: 1 })).toEqual([
      "payload.to",
      "payload.copies",
      "payload.look",
      "payload.lines.0.sku",
      "payload.extra",
      "payload.more",
    ]));
});

function Editing({ start, of = schema }: { start: string; of?: Schema | null }) {
  const [text, setText] = useState(start);
  return (
    <>
      <PayloadEditor text={text} onChange={setText} schema={of ?? undefined} errors={[]} />
      <output>{text}</output>
    </>
  );
}
const written = () => screen.getByRole("status").textContent;
const type = (label: string, value: string) => fireEvent.change(screen.getByLabelText(label), { target: { value } });

afterEach(cleanup);

describe("the form of a payload", () => {
  it("writes what is typed, and leaves out what is emptied", () => {
    render(<Editing start="{}" />);
    type("to *", "ada");
    type("copies", "3");
    expect(JSON.parse(written() ?? "")).toEqual({ to: "ada", copies: 3 });
    type("copies", "");
    expect(JSON.parse(written() ?? "")).toEqual({ to: "ada" });
  });

  it("keeps a number as it is typed, also one that JavaScript would round", () => {
    render(<Editing start="{}" />);
    type("copies", "1.0");
    expect((screen.getByLabelText("copies") as HTMLInputElement).value).toBe("1.0");
    type("copies", "9007199254740993123");
    expect(written()).toMatch(/9007199254740993(123|000)/);
    type("copies", "many");
    expect(screen.getByText("has to be a whole number")).toBeTruthy();
  });

  it("adds to lists and takes away from them", () => {
    render(<Editing start='{"to": "ada"}' />);
    fireEvent.click(screen.getByRole("button", { name: "Add to lines" }));
    type("sku *", "a-1");
    expect(JSON.parse(written() ?? "")).toEqual({ to: "ada", lines: [{ sku: "a-1" }] });
    fireEvent.click(screen.getByRole("button", { name: "Remove lines 1" }));
    expect(JSON.parse(written() ?? "")).toEqual({ to: "ada" });
  });

  it("is one way of two, and JSON keeps what the form does not know", () => {
    render(<Editing start='{"to": "ada", "more": 1}' />);
    expect((screen.getByLabelText("Other fields") as HTMLTextAreaElement).value).toContain('"more": 1');
    fireEvent.click(screen.getByLabelText("JSON"));
    type("Payload", '{"to": 5}');
    expect(screen.getByText(/The handler would refuse it: to has to be text/)).toBeTruthy();
  });

  it("is JSON where it is not known what the handler takes", () => {
    render(<Editing start="{}" of={null} />);
    expect(screen.queryByLabelText("Form")).toBeNull();
    expect(screen.getByLabelText("Payload").tagName).toBe("TEXTAREA");
  });
});
