"""What a pending occurrence waits for, in words."""

from __future__ import annotations

from leveret_api.schemas.occurrences import WaitsFor
from leveret_api.services import Services
from leveret_core.patterns import matches
from leveret_core.states import State
from leveret_core.store.reads.occurrence_rows import OccurrenceDetailRow, WaitingRow
from leveret_core.store.reads.occurrences import read_waiting


async def waits_for(services: Services, row: OccurrenceDetailRow) -> WaitsFor | None:
    """What keeps an occurrence from a worker; None unless it is pending.

    Args:
        services: of this process.
        row: the occurrence.
    """
    if row.state != State.PENDING:
        return None
    served = await services.served.get()
    patterns = sorted({each.pattern for each in served.types if matches(each.pattern, row.type)})
    found = await read_waiting(services.database, row.id, services.settings.publish_window, patterns)
    return None if found is None else _explained(found, services.settings.publish_window)


def _explained(found: WaitingRow, window: int) -> WaitsFor:
    if found.deferred_until is not None:
        return WaitsFor(kind="jitter", text="the moment to which its job spreads it", until=found.deferred_until)
    if not found.workers:
        return WaitsFor(kind="no_worker", text=f"a worker that serves {found.type}")
    if found.told:
        if found.free:
            return WaitsFor(kind="worker", text="a worker to take it")
        return WaitsFor(kind="busy_workers", text=f"a free worker: all {found.workers} that serve it are busy")
    if found.in_queue and found.key_count is not None:
        limit = _limit(found.key_count, found.key_per)
        value = f" for {found.key_path} {found.key_value or '(none)'}"
        return WaitsFor(kind="key_limit", text=f"the rate limit {limit}{value}", until=found.key_ready_at)
    if found.count is not None:
        return WaitsFor(kind="rate_limit", text=f"the rate limit {_limit(found.count, found.per)}")
    if found.unanswered >= window:
        return WaitsFor(kind="publish_window", text=f"room: {window} others of its type have been told to workers already")
    return WaitsFor(kind="dispatcher", text="the dispatcher to tell workers")


def _limit(count: int, per: float | None) -> str:
    return f"{count} per {per or 0:g} s"
