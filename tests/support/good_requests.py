"""A good request for each operation of the API, with everything in it that can be in it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

CRON = {"kind": "cron", "expression": "0 6 * * *", "timezone": "Europe/Berlin"}
RETRY = {"max_attempts": 3, "delay": 5.0, "factor": 2.0, "max_delay": 60.0, "max_lost": 3}
DEFINITION: dict[str, Any] = {
    "type": "report.daily",
    "trigger": CRON,
    "description": "d",
    "tags": ["x"],
    "payload": {"a": [1, "b"]},
    "concurrency": "queue",
    "concurrency_key": "customer.id",
    "max_concurrent": 2,
    "max_waiting": 10,
    "catch_up": "latest",
    "catch_up_window": 60.0,
    "timeout": 3.0,
    "retry": RETRY,
    "max_runs": 10**6,
    "priority": 5,
    "disable_after": 100,
}
RUN: dict[str, Any] = {"payload": {"a": [1, "b"]}, "idempotency_key": "k", "priority": 5}
CHOICE: dict[str, Any] = {"job": "daily", "type": "report.daily", "search": "x"}
TIMES = {"since": "2026-01-01T00:00:00Z", "until": "2026-02-01T00:00:00Z"}
RANGE = {"start_at": "2026-02-01T00:00:00Z", "end_at": "2026-02-01T04:00:00Z"}


@dataclass(frozen=True)
class Good:
    """A request that succeeds; the thing in its path comes from `support.known_things`."""

    query: dict[str, Any] = field(default_factory=dict[str, Any])
    headers: dict[str, str] = field(default_factory=dict[str, str])
    body: dict[str, Any] | None = None


IF_MATCH = {"If-Match": "*"}
PAGE = {"limit": "5"}
GOOD: dict[str, Good] = {
    "createJob": Good(body=DEFINITION | {"name": "another"}),
    "listJobs": Good({"type": "report.daily", "tag": "x", "paused": "false", "search": "a", "served": "false"} | PAGE),
    "getJob": Good(),
    "putJob": Good(headers=IF_MATCH, body=DEFINITION | {"name": "daily"}),
    "editJob": Good(headers=IF_MATCH, body=DEFINITION | {"name": "daily"}),
    "deleteJob": Good(headers=IF_MATCH),
    "triggerJob": Good(headers={"Idempotency-Key": "k"}, body=RUN | {"delay": 5.0}),
    "pauseJob": Good(body={"reason": "r"}),
    "resumeJob": Good(),
    "nextFireTimes": Good({"count": "3", "until": "2030-01-01T00:00:00Z"}),
    "importJobs": Good(
        body={"source": "s", "jobs": [DEFINITION | {"name": "imported", "key": "k"}]}
        | {"prune": False, "partial": False, "dry_run": False}
    ),
    "triggerJobs": Good(body={"items": [RUN | {"job": "daily", "at": "2030-01-01T00:00:00Z"}]}),
    "startBackfill": Good(body=RANGE | {"concurrency": "queue", "max_concurrent": 2, "payload": {"a": 1}}),
    "listBackfillsOfJob": Good({"state": "running"} | PAGE),
    "listBackfills": Good({"job": "daily", "state": "running"} | PAGE),
    "getBackfill": Good(),
    "cancelBackfill": Good(body={"running": True, "reason": "r"}),
    "listOccurrences": Good(
        {"job": "daily", "state": "failed", "type": "report.*", "error": "x", "backfill": "1"}
        | {"worker": "00000000-0000-4000-8000-000000000000"}
        | TIMES
        | PAGE
    ),
    "getOccurrence": Good(),
    "getLogs": Good({"after": "1:1"} | PAGE),
    "getLogFile": Good({"format": "ndjson"}),
    "cancelOccurrence": Good(body={"reason": "r"}),
    "requeueOccurrence": Good(body={"payload": {"a": 1}}),
    "listDeadLetters": Good(CHOICE | TIMES | PAGE),
    "requeueDeadLetters": Good(
        body={"filter": CHOICE | TIMES, "limit": 5, "dry_run": True, "payload_patch": {"a": 1}, "queue": True}
    ),
    "discardDeadLetters": Good(body={"ids": [1], "limit": 5, "dry_run": True, "reason": "r"}),
    "listDeadEvents": Good({"worker": "00000000-0000-4000-8000-000000000000", "occurrence": "1"} | PAGE),
    "getDeadEvent": Good(),
    "discardDeadEvent": Good(),
    "replayDeadEvent": Good(),
    "previewSchedule": Good(body={"trigger": CRON, "after": "2026-01-01T00:00:00", "until": "2027-01-01T00:00:00", "count": 3}),
    "listRateLimits": Good(),
    "getRateLimit": Good(),
    "putRateLimit": Good(body={"count": 5, "per": 1.0}),
    "deleteRateLimit": Good(),
    "getKeyLimit": Good(),
    "putKeyLimit": Good(body={"key": "customer.id", "count": 5, "per": 1.0}),
    "deleteKeyLimit": Good(),
    "listWorkers": Good(),
    "getWorker": Good(),
    "drainWorker": Good(),
    "listTypes": Good(),
    "getDispatcher": Good(),
    "getOverview": Good(),
    "livez": Good(),
    "readyz": Good(),
    "metrics": Good(),
}
