import type { ErrorComponentProps } from "@tanstack/react-router";
import { useEffect, useRef, useState } from "react";
import { useLiveState } from "../live/live";
import { Button } from "../parts/Button";
import { Empty } from "../parts/Empty";
import { Panel } from "../parts/Panel";
import { askForRelease } from "./release";

const TITLE = {
  asking: "This page has not been loaded",
  same: "This page has not been loaded",
  away: "The server cannot be reached",
  other: "Leveret has been updated",
} as const;

const SAID = {
  asking: "…",
  same: "The server does not give its code. Try again, or load everything anew.",
  away: "It comes by itself as soon as the server answers. What is open elsewhere stays.",
  other: "This tab is of the version before, and the server no longer has this page of it.",
} as const;

/** In the place of a page whose code did not come. Tries again when the server is back. */
export function PageMissing({ retry }: { retry: () => void }) {
  const [server, setServer] = useState<keyof typeof SAID>("asking");
  const live = useLiveState().kind;
  const seen = useRef(live);
  useEffect(() => {
    let gone = false;
    void askForRelease().then((found) => gone || setServer(found));
    return () => {
      gone = true;
    };
  }, []);
  useEffect(() => {
    const back = seen.current !== "live" && live === "live";
    seen.current = live;
    if (back) retry();
  }, [live, retry]);
  const reload = (
    <Button look={server === "other" ? "solid" : "plain"} onClick={() => location.reload()}>
      Reload
    </Button>
  );
  return (
    <div role="alert">
      <Panel>
        <Empty
          title={TITLE[server]}
          actions={
            <>
              {server !== "other" && (
                <Button look="solid" onClick={retry}>
                  Try again
                </Button>
              )}
              {server !== "away" && reload}
            </>
          }
        >
          {SAID[server]}
        </Empty>
      </Panel>
    </div>
  );
}

/** In the place of a page that could not be drawn. */
export function PageFailed({ error, reset }: ErrorComponentProps) {
  return (
    <div role="alert">
      <Panel>
        <Empty
          title="This page cannot be shown"
          actions={
            <>
              <Button look="solid" onClick={reset}>
                Try again
              </Button>
              <Button onClick={() => location.reload()}>Reload</Button>
            </>
          }
        >
          {error instanceof Error ? error.message : String(error)}
        </Empty>
      </Panel>
    </div>
  );
}
