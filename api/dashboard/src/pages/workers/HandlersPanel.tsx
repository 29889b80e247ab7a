import { useQuery } from "@tanstack/react-query";
import { Link } from "@tanstack/react-router";
import type { JobType } from "../../api/operations";
import { queries } from "../../api/queries";
import { Json } from "../../parts/Json";
import { Panel } from "../../parts/Panel";
import { ProblemNote } from "../../parts/ProblemNote";
import { type Schema, shapeOf, spelled } from "../../payload/shape";

/** What live workers serve, each handler once however many workers have it; opens to what it does and takes. */
export function HandlersPanel() {
  const types = useQuery(queries.types());
  const items = types.data?.items ?? [];
  if (types.isError) return <ProblemNote error={types.error} />;
  if (items.length === 0) return null;
  return (
    <Panel title="Handlers" flush>
      <ul className="handler-list">
        {items.map((each) => (
          <li key={each.pattern + each.name + JSON.stringify(each.schema)}>
            <details>
              <summary>
                <code>{each.pattern}</code>
                <span className="quiet">{each.name}</span>
                <span className="quiet num handler-count">
                  {each.workers} {each.workers === 1 ? "worker" : "workers"}
                </span>
              </summary>
              <HandlerMore handler={each} />
            </details>
          </li>
        ))}
      </ul>
    </Panel>
  );
}

function HandlerMore({ handler }: { handler: JobType }) {
  const wild = /[*#]/.test(handler.pattern);
  return (
    <div className="handler-more">
      {handler.doc && <p className="handler-doc">{handler.doc}</p>}
      <p className="quiet">
        Queue <code>{handler.queue}</code>
        {!wild && (
          <>
            {" · "}
            <Link to="/jobs" search={{ type: handler.pattern }}>
              Jobs of this type
            </Link>
          </>
        )}
      </p>
      {handler.schema ? (
        <>
          <Arguments schema={handler.schema} />
          <details className="handler-schema">
            <summary>JSON Schema</summary>
            <Json value={handler.schema} label={`JSON Schema of ${handler.pattern}`} />
          </details>
        </>
      ) : (
        <p className="quiet">It does not say what it takes.</p>
      )}
    </div>
  );
}

function Arguments({ schema }: { schema: Schema }) {
  const shape = shapeOf(schema, schema);
  if (shape.kind !== "object" || shape.fields.length === 0) {
    return (
      <p className="quiet">
        {shape.kind === "object" && !shape.open ? "It takes an empty payload." : "It takes any payload."}
      </p>
    );
  }
  return (
    <table className="arguments" aria-label="What it takes">
      <thead>
        <tr>
          <th scope="col">Field</th>
          <th scope="col">Takes</th>
          <th scope="col">When left out</th>
        </tr>
      </thead>
      <tbody>
        {shape.fields.map((field) => (
          <tr key={field.name}>
            <th scope="row">
              <code>{field.name}</code>
            </th>
            <td>
              {spelled(field.schema, schema)}
              {field.description && <div className="quiet">{field.description}</div>}
            </td>
            <td className="quiet">
              {field.required
                ? "needed"
                : field.fallback === undefined
                  ? "the handler's own"
                  : JSON.stringify(field.fallback)}
            </td>
          </tr>
        ))}
      </tbody>
    </table>
  );
}
