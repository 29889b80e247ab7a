import { Link } from "@tanstack/react-router";
import { Empty } from "../parts/Empty";
import { Panel } from "../parts/Panel";

/** An address that leads nowhere. */
export function NotFound() {
  return (
    <Panel>
      <Empty
        title="There is no such page"
        actions={
          <Link to="/" className="button button-plain">
            To the overview
          </Link>
        }
      />
    </Panel>
  );
}
