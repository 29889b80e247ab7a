"""A connection to Postgres breaks at every statement of every loop: before it, and after it was done but before its answer.

Each loop, and each command of a client, has a scene of its own. What goes by without a fault is written down first; then
the scene is played again for each of these statements and both moments, and must come to the same tables. A statement in a
file that no scene sends fails here: it belongs into a scene, or below, with the reason.

The default run plays some of the cuts, others each time; `LEVERET_EXHAUSTIVE=1` plays all. `LEVERET_CUTS_SEED` repeats a run.
"""

from __future__ import annotations

import os
import random
from collections import Counter
from collections.abc import AsyncGenerator
from importlib import import_module

import pytest

from leveret_core.broker import events_feed
from leveret_core.store.database import Database
from leveret_core.store.planned import commits
from leveret_dispatcher import loops
from leveret_dispatcher.schedule import commit_listener
from support.moved_clock import with_a_clock_to_move
from support.scene import COMMANDS, LOOPS, Stage
from support.statement_proxy import Moment, Passage, StatementProxy, statements

for _scenes in ("commands", "dispatching", "events", "housekeeping", "servers"):
    import_module(f"support.scenes_of_{_scenes}")

EXHAUSTIVE = bool(os.environ.get("LEVERET_EXHAUSTIVE"))
SAMPLE = 1
"""Cuts of each scene in the default run."""
SCENES = LOOPS | COMMANDS
REPEATED = ("a_term", "a_term_without_redis", "how_far_events_are_read", "the_listener_to_commits")
"""Scenes that go on by a clock of their own: how often a statement goes by in them is not always the same."""
NOT_PLAYED = {
    "backfills/count_running": "a backfill that is asked for twice is two: the client looks before it asks again",
    "backfills/insert": "the same",
    "dead_events/discard": "one row deleted by one statement",
    "imports/jobs": "an import is one transaction, and asking twice is safe; test_imports.py",
    "imports/lock_source": "the same",
    "imports/mark": "the same",
    "imports/same": "the same",
    "commands/state_of": "of an answer that is refused",
}
"""Statements that write, or belong to something that writes, and that no scene sends."""
ONLY_READ = (
    "/get",
    "/list",
    "/list_horizon",
    "/count",
    "/count_of_day",
    "server/facts",
    "server/failing_tasks",
    "jobs/payloads",
    "jobs/resolve",
    "workers/refusals",
)
"""How statements end, or are called, by which a test only looks; so do all of `reads/` that no scene sends."""
BEST_EFFORT = ("dispatch_messages_that_the_broker_does_not_take",)
"""Scenes whose loop gives up what it was at, and leaves it to the answer timeout: cuts are played in the long run only."""
SET_UP = Passage("set up a connection", 1)
Cut = tuple[tuple[Passage, Moment], ...]


@pytest.fixture(autouse=True)
def _at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loops, "FAILURE_PAUSE", 0.0)
    monkeypatch.setattr(events_feed, "RETRY_MIN", 0.0)
    monkeypatch.setattr(commit_listener, "RETRY", 0.0)
    monkeypatch.setattr(commits, "CHECK", 0.05)


class Theatre:
    """Plays scenes."""

    def __init__(self, here: Database, proxy: StatementProxy) -> None:
        self.here = here
        self.proxy = proxy
        self.sent: dict[str, set[str]] = {}

    async def play(self, name: str, *cut: tuple[Passage, Moment]) -> tuple[dict[str, list[str]], list[str]]:
        """The tables afterwards, and the statements that went by."""
        there = Database(self.proxy.url, pool_size=4)
        await there.start()
        try:
            stage = await Stage.set(self.here, there)
            act = await SCENES[name](stage)
            self.proxy.watch(*cut)
            await act()
            assert self.proxy.left == [] or name in REPEATED
            assert self.proxy.unknown == set(), "statements that are in no file"
            assert await stage.here.violations() == []
            self.sent.setdefault(name, set(self.proxy.seen))
            return await stage.picture(), self.proxy.seen
        finally:
            self.proxy.watch()
            await there.stop()


@pytest.fixture(scope="module")
async def theatre(shared_database_url: str) -> AsyncGenerator[Theatre]:
    url = await with_a_clock_to_move(shared_database_url)
    here = Database(url, pool_size=4)
    await here.start()
    try:
        async with StatementProxy(url) as proxy:
            yield Theatre(here, proxy)
    finally:
        await here.stop()


def cuts_of(name: str, seen: list[str]) -> list[Cut]:
    """Every cut of a scene; and at its first statement one of the next connection, too.

    What goes by again after the same statements of a transaction, as in a loop's next turn, is cut once.
    """
    passages: dict[tuple[str, ...], Passage] = {}
    transaction: tuple[str, ...] = ()
    counts: Counter[str] = Counter()
    for each in seen:
        counts[each] += 1
        transaction = (each,) if each == "begin" or not transaction else (*transaction, each)
        if name not in REPEATED or counts[each] == 1:
            passages.setdefault(transaction, Passage(each, counts[each]))
        if transaction[0] != "begin" or each in ("commit", "rollback"):
            transaction = ()
    first = Passage(seen[0], 1)
    single: list[Cut] = [((passage, moment),) for passage in passages.values() for moment in Moment]
    twice: list[Cut] = [((first, Moment.BEFORE), (SET_UP, moment)) for moment in Moment if first != SET_UP]
    return single + (twice if name not in REPEATED else [])


def differences(found: dict[str, list[str]], expected: dict[str, list[str]]) -> dict[str, list[str]]:
    """What is too much (+), and what is missing (-)."""
    different: dict[str, list[str]] = {}
    for what, rows in found.items():
        more, less = Counter(rows) - Counter(expected[what]), Counter(expected[what]) - Counter(rows)
        if lines := [*(f"+{row}" for row in more.elements()), *(f"-{row}" for row in less.elements())]:
            different[what] = lines
    return different


@pytest.mark.parametrize("name", SCENES)
async def test_whatever_breaks_it_comes_to_the_same(theatre: Theatre, name: str) -> None:
    seed = os.environ.get("LEVERET_CUTS_SEED") or str(random.randrange(10**6))
    expected, seen = await theatre.play(name)
    cuts = cuts_of(name, seen)
    if not EXHAUSTIVE:
        cuts = random.Random(f"{seed} {name}").sample(cuts, 0 if name in BEST_EFFORT else min(SAMPLE, len(cuts)))
    for cut in cuts:
        told = " and ".join(f"{moment.value}: {passage.statement} ({passage.nth})" for passage, moment in cut)
        try:
            found, _ = await theatre.play(name, *cut)
            assert differences(found, expected) == {}
        except Exception as error:
            error.add_note(f"cut {told}; LEVERET_CUTS_SEED={seed}")
            raise


async def test_every_statement_is_in_a_scene(theatre: Theatre) -> None:
    for name in SCENES.keys() - theatre.sent.keys():
        await theatre.play(name)
    sent = set[str]().union(*theatre.sent.values())
    left = set(statements().values()) - sent - NOT_PLAYED.keys()
    assert sorted(each for each in left if not each.startswith("reads/") and not each.endswith(ONLY_READ)) == []
    assert sorted(NOT_PLAYED.keys() & sent) == [], "they are played now"
    assert "reads/handlers" in sent, "the liveness loop reads it"
