"""The jobs of the example, as `POST /api/v1/jobs` takes them."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

JOBS: list[dict[str, Any]] = [
    {
        "name": "digest-mail",
        "type": "sendemail.digest",
        "description": "A mail every minute, so that there is something to see",
        "tags": ["example"],
        "trigger": {"kind": "cron", "expression": "* * * * *", "timezone": "Europe/Berlin"},
        "payload": {"to": "ann@example.com", "name": "Ann"},
        "retry": {"max_attempts": 5, "delay": 2},
    },
    {
        "name": "new-year-mail",
        "type": "sendemail.greeting",
        "description": "One mail, at the next turn of the year in Berlin",
        "tags": ["example"],
        "trigger": {"kind": "once", "at": f"{datetime.now(UTC).year + 1}-01-01T00:00:00", "timezone": "Europe/Berlin"},
        "payload": {"to": "everybody@example.com", "name": "everybody"},
    },
    {
        "name": "activity-report",
        "type": "report.activity",
        "description": "What ran in the last hour, as CSV and chart, every two minutes",
        "tags": ["example"],
        "trigger": {"kind": "interval", "every": 120},
        "payload": {"hours": 1},
        "timeout": 60,
    },
    {
        "name": "customer-migration",
        "type": "migration.customers",
        "description": "Long, by hand, one at a time: trigger it, watch its progress, cancel it, trigger it again",
        "tags": ["example"],
        "trigger": {"kind": "manual"},
        "payload": {"rows": 20000},
        "concurrency": "queue",
    },
]
