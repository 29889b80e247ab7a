"""Whether everything that is not over has a component that is responsible for it, asked after faults."""

from __future__ import annotations

from leveret_core.store.database import Database
from leveret_core.store.liveness.ownerless import Ownerless, Place, find_ownerless
from support.eventually import eventually


async def everything_ownerless(db: Database, *, late: float, silent: float, unnamed: float = 60) -> list[Ownerless]:
    """A whole round of looks."""
    place = Place()
    found = await find_ownerless(db, place, late=late, silent=silent, unnamed=unnamed)
    while not place.at_the_beginning:
        found += [
            each for each in await find_ownerless(db, place, late=late, silent=silent, unnamed=unnamed) if each not in found
        ]
    return found


async def assert_everything_owned(database_url: str, *, timeout: float = 30, late: float = 5, silent: float = 15) -> None:
    """Wait until nothing in the database is ownerless.

    Args:
        database_url: of a system that runs, and whose servers and broker can be reached again.
        timeout: seconds it may take.
        late: seconds by which what is due may be late.
        silent: seconds that the reaper may take for a lease or a timeout that is over.
    """
    db = Database(database_url, pool_size=2)
    await db.start()

    async def owned() -> None:
        found = await everything_ownerless(db, late=late, silent=silent)
        assert not found, "; ".join(map(str, found))

    try:
        await eventually(owned, timeout=timeout, interval=0.2)
    finally:
        await db.stop()
