import { useQuery, useQueryClient } from "@tanstack/react-query";
import { Link } from "@tanstack/react-router";
import { useMemo, useState } from "react";
import { commands } from "../../api/commands";
import { queries } from "../../api/queries";
import type { Worker } from "../../api/types";
import { useTitle } from "../../app/title";
import { Button } from "../../parts/Button";
import { Confirm } from "../../parts/Confirm";
import { Empty } from "../../parts/Empty";
import { notify } from "../../parts/Notices";
import { PageHead } from "../../parts/PageHead";
import { Panel } from "../../parts/Panel";
import { ProblemNote } from "../../parts/ProblemNote";
import { type Column, DataTable } from "../../parts/table/DataTable";
import { useTicking } from "../../time/clock";
import { Time } from "../../time/Time";
import { HandlersPanel } from "./HandlersPanel";
import { UnservedNote } from "./Unserved";
import "./workers.css";

const LIVING = ["alive", "draining"];
/** A worker beats every few seconds; past this it may be gone. */
const LATE = 15_000;

const COLUMNS: readonly Column<Worker>[] = [
  {
    id: "process",
    header: "Worker",
    role: "main",
    value: (worker) => worker.name,
    cell: (worker) => (
      <div className="worker-name">
        <span>{worker.name}</span>
        <span className="quiet">
          {worker.host} · pid {worker.pid} · {worker.sdk}
        </span>
      </div>
    ),
  },
  {
    id: "health",
    header: "State",
    role: "plain",
    value: (worker) => worker.state,
    cell: (worker) => <WorkerState worker={worker} />,
  },
  {
    id: "slots",
    header: "Running",
    role: "plain",
    value: (worker) => worker.running,
    cell: (worker) => <Slots worker={worker} />,
  },
  { id: "handlers", header: "Handlers", role: "line", cell: (worker) => <Handlers worker={worker} /> },
  {
    id: "beat",
    header: "Heartbeat",
    align: "right",
    value: (worker) => worker.heartbeat_at,
    cell: (worker) =>
      LIVING.includes(worker.state) ? (
        <Heartbeat at={worker.heartbeat_at} />
      ) : (
        <Time at={worker.stopped_at ?? worker.heartbeat_at} />
      ),
  },
  {
    id: "since",
    header: "Started",
    align: "right",
    value: (worker) => worker.started_at,
    cell: (worker) => <Time at={worker.started_at} />,
  },
];

/** The columns of living workers: a drain can be asked of them. */
function columnsWith(drain: (worker: Worker) => void): readonly Column<Worker>[] {
  return [
    ...COLUMNS,
    {
      id: "drain",
      header: "Drain",
      role: "action",
      cell: (worker) => (
        <Button
          size="small"
          aria-label={`Drain ${worker.name}`}
          disabled={worker.state !== "alive"}
          onClick={() => drain(worker)}
        >
          {worker.state === "alive" ? "Drain" : "Draining"}
        </Button>
      ),
    },
  ];
}

/** The processes that run jobs: those that live, and those that went lately. */
export function WorkersPage() {
  useTitle("Workers");
  const workers = useQuery(queries.workers());
  const items = workers.data?.items;
  const living = items?.filter((worker) => LIVING.includes(worker.state));
  const gone = items?.filter((worker) => !LIVING.includes(worker.state)) ?? [];
  const client = useQueryClient();
  const [draining, drain] = useState<Worker | null>(null);
  const columns = useMemo(() => columnsWith(drain), []);
  return (
    <div className="page">
      <PageHead
        title="Workers"
        actions={
          living &&
          living.length > 0 && (
            <span className="quiet num">
              {living.length} alive · {sum(living, "running")} of {sum(living, "concurrency")} slots used
            </span>
          )
        }
      />
      {workers.isError && <ProblemNote error={workers.error} retry={() => void workers.refetch()} />}
      {(!workers.isError || items) && (
        <Panel flush>
          <DataTable
            label="Workers"
            columns={columns}
            rows={living}
            idOf={(worker) => worker.id}
            live
            empty={
              <Empty title="No worker is alive" command={`LEVERET_AMQP_URL=amqp://… leveret worker app.jobs`}>
                Jobs wait until one runs that serves their type. Start one where your handlers are:
              </Empty>
            }
          />
        </Panel>
      )}
      <UnservedNote />
      <HandlersPanel />
      {gone.length > 0 && (
        <Panel title="Gone within the last hour" flush>
          <DataTable label="Gone workers" columns={COLUMNS} rows={gone} idOf={(worker) => worker.id} empty={null} />
        </Panel>
      )}
      <Confirm
        open={draining !== null}
        onClose={() => drain(null)}
        title={`Drain ${draining?.name ?? ""}?`}
        action="Drain it"
        look="solid"
        run={async () => {
          if (draining) await commands.drainWorker(draining.id);
          notify(`${draining?.name} drains: it ends when what it runs has ended`);
          void client.invalidateQueries({ queryKey: ["workers"] });
        }}
      >
        It takes nothing more, finishes what it runs ({draining?.running ?? 0} now), and ends. What waits goes to the
        other workers; its service manager may start another.
      </Confirm>
    </div>
  );
}

function sum(workers: readonly Worker[], field: "running" | "concurrency"): number {
  return workers.reduce((total, worker) => total + worker[field], 0);
}

function WorkerState({ worker }: { worker: Worker }) {
  // It counts as alive until its lease ends; whether it still is cannot be known yet.
  const silent = useTicking((now) => (now - Date.parse(worker.heartbeat_at) > LATE ? "silent" : ""));
  const shown = LIVING.includes(worker.state) && silent ? silent : worker.state;
  return (
    <span
      className={`worker-state worker-${shown}`}
      title={shown === "silent" ? "No heartbeat for a while: it counts as lost when its lease ends" : undefined}
    >
      <span className="worker-dot" />
      {shown}
    </span>
  );
}

function Heartbeat({ at }: { at: string }) {
  const late = useTicking((now) => (now - Date.parse(at) > LATE ? "late" : ""));
  return (
    <span className={late ? "heartbeat-late" : undefined}>
      <Time at={at} />
    </span>
  );
}

function Slots({ worker }: { worker: Worker }) {
  const share = worker.concurrency === 0 ? 0 : Math.min(1, worker.running / worker.concurrency);
  return (
    <Link to="/occurrences" search={{ worker: worker.id }} className="slots num">
      <span>
        {worker.running} <span className="quiet">of {worker.concurrency}</span>
      </span>
      <span className="slots-track">
        <span className="slots-fill" style={{ transform: `scaleX(${share})` }} />
      </span>
    </Link>
  );
}

/** What it serves; more about each handler is in the panel of handlers. */
function Handlers({ worker }: { worker: Worker }) {
  return (
    <ul className="handlers">
      {worker.handlers.map((handler) => (
        <li key={handler.pattern + handler.name} title={handler.doc || handler.name || undefined}>
          <code>{handler.pattern}</code>
          <span className="quiet">
            {handler.queue} · {handler.concurrency} at once
          </span>
        </li>
      ))}
    </ul>
  );
}
