import { cleanup, fireEvent, render, screen } from "@testing-library/react";
import { afterEach, describe, expect, it } from "vitest";
import { type Column, DataTable } from "./DataTable";
import { freeRows, steadyRows } from "./useSteadyRows";

interface Row {
  id: number;
  text: string;
}

const columns: readonly Column<Row>[] = [
  { id: "text", header: "Text", value: (row) => row.text, cell: (row) => row.text },
];
const table = (rows: readonly Row[] | undefined) => (
  <DataTable label="Rows" columns={columns} rows={rows} idOf={(row) => String(row.id)} empty={<p>Nothing</p>} live />
);
const texts = () => screen.getAllByRole("cell").map((cell) => cell.textContent);

afterEach(cleanup);

describe("a table", () => {
  it("keeps its rows in place under the pointer, and shows what came when asked", () => {
    const { rerender } = render(table([{ id: 1, text: "one" }]));
    const body = screen.getAllByRole("rowgroup")[1];
    if (!body) throw new Error("no body");
    fireEvent.pointerEnter(body, { pointerType: "mouse" });
    const fresh = [
      { id: 2, text: "two" },
      { id: 1, text: "one, changed" },
    ];
    rerender(table(fresh));
    expect(texts()).toEqual(["one, changed"]);
    fireEvent.click(screen.getByRole("button", { name: /1 more since/ }));
    expect(texts()).toEqual(["two", "one, changed"]);
  });

  it("shows what the reader did at once, under the pointer or not", () => {
    const { rerender } = render(
      table([
        { id: 2, text: "two" },
        { id: 1, text: "one" },
      ]),
    );
    const body = screen.getAllByRole("rowgroup")[1];
    if (!body) throw new Error("no body");
    fireEvent.pointerEnter(body, { pointerType: "mouse" });
    freeRows();
    rerender(table([{ id: 1, text: "one" }]));
    expect(texts()).toEqual(["one"]);
  });

  it("sorts by a column that can be sorted", () => {
    render(
      table([
        { id: 1, text: "b" },
        { id: 2, text: "a" },
      ]),
    );
    fireEvent.click(screen.getByRole("button", { name: "Text" }));
    expect(texts()).toEqual(["a", "b"]);
    expect(screen.getByRole("columnheader").getAttribute("aria-sort")).toBe("ascending");
  });

  it("says that there is nothing only when that is known", () => {
    const { rerender } = render(table(undefined));
    expect(screen.queryByText("Nothing")).toBeNull();
    rerender(table([]));
    expect(screen.getByText("Nothing")).toBeTruthy();
  });
});

describe("steady rows", () => {
  it("show what changed, hold back what came, and keep what went", () => {
    const shown = [
      { id: 3, text: "c" },
      { id: 2, text: "b" },
    ];
    const fresh = [
      { id: 4, text: "d" },
      { id: 3, text: "C" },
    ];
    expect(steadyRows(shown, fresh, (row) => String(row.id))).toEqual({
      rows: [
        { id: 3, text: "C" },
        { id: 2, text: "b" },
      ],
      heldBack: 1,
    });
  });
});
