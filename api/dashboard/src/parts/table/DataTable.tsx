import {
  type ColumnDef,
  createSortedRowModel,
  type RowData,
  rowSortingFeature,
  sortFn_alphanumeric,
  sortFn_basic,
  tableFeatures,
  useTable,
} from "@tanstack/react-table";
import { type ReactNode, useState } from "react";
import { count } from "../../time/format";
import { SortIcon } from "../icons";
import "./DataTable.css";
import { useSteadyRows } from "./useSteadyRows";

const features = tableFeatures({
  rowSortingFeature,
  sortedRowModel: createSortedRowModel(),
  sortFns: { alphanumeric: sortFn_alphanumeric, basic: sortFn_basic },
});

/** A column: `value` makes it sortable. */
export interface Column<Row> {
  id: string;
  header: string;
  cell: (row: Row) => ReactNode;
  value?: (row: Row) => string | number | null;
  align?: "right";
  /**
   * On a phone, where a row becomes a card: `main` heads it, `line` takes a line of its own, `plain` needs no label, `wide` is left
   * out, `corner` and `action` stand in the corner.
   */
  role?: "main" | "line" | "plain" | "wide" | "corner" | "action";
}

interface DataTableProps<Row> {
  label: string;
  columns: readonly Column<Row>[];
  /** undefined while they are loaded for the first time */
  rows: readonly Row[] | undefined;
  idOf: (row: Row) => string;
  empty: ReactNode;
  /** rows may come and go by themselves: keep them in place under the pointer */
  live?: boolean;
  /** names what is listed, such as the filter */
  scope?: string;
  /** what is shown belongs to the filter before */
  outdated?: boolean;
}

const NONE: readonly never[] = [];
const SKELETON = [0, 1, 2, 3, 4, 5];

/** A dense table; on a phone each row is a card. */
export function DataTable<Row extends RowData>({
  label,
  columns,
  rows,
  idOf,
  empty,
  live = false,
  scope = "",
  outdated = false,
}: DataTableProps<Row>) {
  const [held, setHeld] = useState(false);
  const steady = useSteadyRows<Row>(rows ?? NONE, idOf, outdated ? undefined : scope, live && held);
  const table = useTable({
    features,
    data: steady.rows as Row[],
    columns: definitionsOf(columns),
    getRowId: idOf,
    enableMultiSort: false,
  });
  if (rows !== undefined && steady.rows.length === 0) return <>{empty}</>;
  return (
    // On its way from the rows to the button the pointer must not let go of them: the button would be gone.
    <div className="table-frame" data-outdated={outdated || undefined} onPointerLeave={() => setHeld(false)}>
      {steady.heldBack > 0 && (
        <button type="button" className="table-held" onClick={() => setHeld(false)}>
          {count(steady.heldBack)} more since – show
        </button>
      )}
      <table className="table" aria-label={label} aria-busy={rows === undefined}>
        <thead>
          {table.getHeaderGroups().map((group) => (
            <tr key={group.id}>
              {group.headers.map((header, index) => {
                const column = columns[index];
                const sorted = header.column.getIsSorted();
                return (
                  <th
                    key={header.id}
                    scope="col"
                    className={classOf(column)}
                    {...(sorted
                      ? { "aria-sort": sorted === "asc" ? ("ascending" as const) : ("descending" as const) }
                      : {})}
                  >
                    {column?.value ? (
                      <button type="button" className="table-sort" onClick={header.column.getToggleSortingHandler()}>
                        {column.header}
                        <SortIcon />
                      </button>
                    ) : column?.role === "action" ? (
                      <span className="hidden-text">{column.header}</span>
                    ) : (
                      column?.header
                    )}
                  </th>
                );
              })}
            </tr>
          ))}
        </thead>
        <tbody onPointerEnter={(event) => event.pointerType === "mouse" && setHeld(true)}>
          {rows === undefined
            ? SKELETON.map((line) => (
                <tr key={line} className="table-skeleton">
                  {columns.map((column) => (
                    <td key={column.id} className={classOf(column)}>
                      <span />
                    </td>
                  ))}
                </tr>
              ))
            : table.getRowModel().rows.map((row) => (
                <tr key={row.id} data-row={row.id}>
                  {columns.map((column) => (
                    <td
                      key={column.id}
                      className={classOf(column)}
                      data-label={column.role === undefined ? column.header : undefined}
                    >
                      {column.cell(row.original)}
                    </td>
                  ))}
                </tr>
              ))}
        </tbody>
      </table>
    </div>
  );
}

function classOf(column: { align?: "right"; role?: string; id: string } | undefined): string {
  if (!column) return "";
  return [`col-${column.id}`, column.align === "right" && "cell-right", column.role && `cell-${column.role}`]
    .filter(Boolean)
    .join(" ");
}

type Definition<Row extends RowData> = ColumnDef<typeof features, Row, unknown>;
const definitions = new WeakMap<object, unknown>();

/** The library's definitions of our columns: the same ones for the same columns, as it asks for. */
function definitionsOf<Row extends RowData>(columns: readonly Column<Row>[]): Definition<Row>[] {
  let known = definitions.get(columns) as Definition<Row>[] | undefined;
  if (!known) {
    known = columns.map(
      (column): Definition<Row> => ({
        id: column.id,
        header: column.header,
        accessorFn: column.value ?? (() => null),
        enableSorting: column.value !== undefined,
        sortFn: "alphanumeric",
        sortUndefined: "last",
      }),
    );
    definitions.set(columns, known);
  }
  return known;
}
