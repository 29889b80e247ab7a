import type { Job } from "../../api/types";
import { Button } from "../../parts/Button";
import { PlayIcon } from "../../parts/icons";
import { Menu, MenuItem } from "../../parts/Menu";
import { useJobActions } from "./JobDialogs";

/** What can be done to one job in a list. */
export function JobRowActions({ job }: { job: Job }) {
  const actions = useJobActions();
  return (
    <>
      <Button
        look="ghost"
        className="button-icon"
        aria-label={`Trigger ${job.name} now`}
        title="Trigger now"
        onClick={() => actions.triggerNow(job)}
      >
        <PlayIcon />
      </Button>
      <JobMenu job={job} />
    </>
  );
}

/** The rest of what can be done. */
export function JobMenu({ job }: { job: Job }) {
  const { open, resume } = useJobActions();
  return (
    <Menu label={`More about ${job.name}`}>
      <MenuItem onPick={() => open({ kind: "trigger", job })}>Trigger with payload, later…</MenuItem>
      {job.trigger.kind !== "manual" && <MenuItem onPick={() => open({ kind: "backfill", job })}>Backfill…</MenuItem>}
      <MenuItem onPick={() => open({ kind: "edit", job })}>Edit…</MenuItem>
      <MenuItem onPick={() => open({ kind: "copy", job })}>Make a copy…</MenuItem>
      {job.paused ? (
        <MenuItem onPick={() => resume(job)}>Resume</MenuItem>
      ) : (
        <MenuItem onPick={() => open({ kind: "pause", job })}>Pause…</MenuItem>
      )}
      <MenuItem danger onPick={() => open({ kind: "delete", job })}>
        Delete…
      </MenuItem>
    </Menu>
  );
}
