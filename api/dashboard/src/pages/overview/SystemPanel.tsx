import type { Overview } from "../../api/types";
import { Fact, Facts, Panel } from "../../parts/Panel";
import { count, seconds } from "../../time/format";
import { Time } from "../../time/Time";
import { UnservedTypes, useUnserved } from "../workers/Unserved";

const SERVICES: Record<string, string> = { postgres: "Postgres", redis: "Redis", rabbitmq: "RabbitMQ" };
/** Seconds overdue from which it is said aloud. */
const LATE = 5;

/** Who dispatches, and whether the services answer. */
export function SystemPanel({ overview }: { overview: Overview | undefined }) {
  const dispatcher = overview?.dispatcher;
  const unserved = useUnserved();
  const lag = dispatcher?.lag_seconds ?? 0;
  return (
    <Panel title="System">
      <Facts>
        <Fact name="Dispatcher">
          {!dispatcher ? (
            "…"
          ) : dispatcher.holder === null ? (
            <strong className="service-down">no replica holds the term</strong>
          ) : (
            dispatcher.holder_name
          )}
        </Fact>
        <Fact name="Term">
          {dispatcher ? (
            <>
              <span className="num">epoch {dispatcher.epoch}</span>
              {dispatcher.acquired_at && dispatcher.holder !== null && (
                <span className="quiet">
                  {" "}
                  since <Time at={dispatcher.acquired_at} />
                </span>
              )}
            </>
          ) : (
            "…"
          )}
        </Fact>
        <Fact name="Overdue">
          {dispatcher ? lag < LATE ? "nothing" : <strong className="service-down">{seconds(lag)}</strong> : "…"}
        </Fact>
        {dispatcher && dispatcher.ownerless > 0 && (
          <Fact name="Ownerless">
            <strong className="service-down">{count(dispatcher.ownerless)}</strong>{" "}
            {dispatcher.ownerless_examples.slice(0, 3).map((each) => (
              <span key={`${each.kind} ${each.id}`}>
                {each.kind} {each.id}: {each.why}{" "}
              </span>
            ))}
          </Fact>
        )}
        <Fact name="Unserved types">
          {!unserved ? "…" : unserved.length === 0 ? "none" : <UnservedTypes types={unserved} />}
        </Fact>
        <Fact name="Services">
          <ul className="services">
            {Object.entries(SERVICES).map(([key, name]) => {
              const state = overview?.services[key];
              return (
                <li key={key} className={state ? `service-${state}` : undefined}>
                  <span className="service-dot" />
                  {name}
                  {state === "down" && " is down"}
                </li>
              );
            })}
          </ul>
        </Fact>
      </Facts>
    </Panel>
  );
}
