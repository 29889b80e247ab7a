import { useQuery, useQueryClient } from "@tanstack/react-query";
import { Link } from "@tanstack/react-router";
import { useMemo, useState } from "react";
import { commands } from "../../api/commands";
import type { RateLimit } from "../../api/operations";
import { queries } from "../../api/queries";
import { useTitle } from "../../app/title";
import { Button } from "../../parts/Button";
import { Confirm } from "../../parts/Confirm";
import { Empty } from "../../parts/Empty";
import { PlusIcon } from "../../parts/icons";
import { Menu, MenuItem } from "../../parts/Menu";
import { PageHead } from "../../parts/PageHead";
import { Panel } from "../../parts/Panel";
import { ProblemNote } from "../../parts/ProblemNote";
import { type Column, DataTable } from "../../parts/table/DataTable";
import { freeRows } from "../../parts/table/useSteadyRows";
import { LimitDialog } from "./LimitDialog";
import { spellLimit } from "./limit";

type Open = { kind: "set"; limit?: RateLimit } | { kind: "lift"; limit: RateLimit };

/** How many occurrences of a type may start within a time. */
export function LimitsPage() {
  useTitle("Limits");
  const client = useQueryClient();
  const limits = useQuery(queries.rateLimits());
  const [dialog, setDialog] = useState<Open | null>(null);
  const close = () => setDialog(null);
  const refetch = () => {
    freeRows();
    void client.invalidateQueries({ queryKey: ["rate-limits"] });
  };
  const columns = useMemo(() => columnsWith(setDialog), []);
  const create = (
    <Button look="solid" icon={<PlusIcon />} onClick={() => setDialog({ kind: "set" })}>
      New limit
    </Button>
  );
  return (
    <div className="page">
      <PageHead
        title="Rate limits"
        sub="How many occurrences of a job type may start within a time; what comes too early waits."
        actions={create}
      />
      {limits.isError && <ProblemNote error={limits.error} retry={() => void limits.refetch()} />}
      {(!limits.isError || limits.data) && (
        <Panel flush>
          <DataTable
            label="Rate limits"
            columns={columns}
            rows={limits.data}
            idOf={(limit) => `${limit.type} ${limit.key ?? ""}`}
            empty={
              <Empty title="No type is limited" actions={create}>
                Workers take as much as they have slots for. A limit protects what jobs of a type call: a mail server, a
                paid API.
              </Empty>
            }
          />
        </Panel>
      )}
      {dialog?.kind === "set" && (
        <LimitDialog
          {...(dialog.limit ? { limit: dialog.limit } : {})}
          onClose={close}
          onDone={() => {
            refetch();
            close();
          }}
        />
      )}
      <Confirm
        open={dialog?.kind === "lift"}
        onClose={close}
        title={dialog?.kind === "lift" ? `Lift the limit of ${dialog.limit.type}?` : ""}
        action="Lift it"
        run={async () => {
          if (dialog?.kind === "lift") await commands.deleteRateLimit(dialog.limit);
          refetch();
        }}
      >
        What waits because of it starts at once, as far as workers have slots.
      </Confirm>
    </div>
  );
}

function columnsWith(open: (dialog: Open) => void): readonly Column<RateLimit>[] {
  return [
    {
      id: "type",
      header: "Type",
      role: "main",
      value: (limit) => limit.type,
      cell: (limit) => <code>{limit.type}</code>,
    },
    { id: "limit", header: "At most", role: "plain", cell: spellLimit },
    {
      id: "who",
      header: "Jobs",
      cell: (limit) => (
        <Link to="/jobs" search={{ type: limit.type }}>
          of this type
        </Link>
      ),
    },
    {
      id: "actions",
      header: "Actions",
      role: "action",
      cell: (limit) => (
        <Menu label={`More about ${limit.type}${limit.key === undefined ? "" : ` for each ${limit.key}`}`}>
          <MenuItem onPick={() => open({ kind: "set", limit })}>Change…</MenuItem>
          <MenuItem danger onPick={() => open({ kind: "lift", limit })}>
            Lift…
          </MenuItem>
        </Menu>
      ),
    },
  ];
}
