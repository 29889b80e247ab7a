"""Which job is meant: by its id, or by its name."""

from __future__ import annotations

from leveret_core.errors import NotFound
from leveret_core.store.database import Database

JobRef = int | str
"""A job's id, or its name, which never is all digits."""
_MAX_ID = 2**63 - 1


def job_ref(text: str) -> JobRef:
    """The id or name that `text` is."""
    return int(text) if text.isascii() and text.isdigit() and len(text) < 20 and int(text) <= _MAX_ID else text


async def resolve_job(db: Database, ref: JobRef) -> int:
    """The id of a job.

    Raises:
        NotFound: there is none, or it was deleted.
    """
    job_id = await db.fetchval("jobs/resolve", *key_of(ref))
    if job_id is None:
        raise missing(ref)
    found: int = job_id
    return found


def key_of(ref: JobRef) -> tuple[int | None, str | None]:
    """The id or the name, as statements take them."""
    return (ref, None) if isinstance(ref, int) else (None, ref)


def missing(ref: JobRef) -> NotFound:
    """The error that says that there is no such job."""
    return NotFound(f"there is no job {ref}" if isinstance(ref, int) else f"there is no job named {ref}")
