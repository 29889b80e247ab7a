# pyright: reportPrivateUsage=false
"""Errands of a dispatcher that runs: they show in the process's supervisor, and end with their term."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator

import pytest

from leveret.cli.doctor.checks import Checks
from leveret.cli.doctor.postgres import examine
from leveret_core.settings import Settings
from leveret_core.store.database import Database
from leveret_core.supervision import Supervisor, TaskState
from leveret_dispatcher.dispatcher import Dispatcher
from leveret_dispatcher.leadership.term import Term
from support.control import Control
from support.eventually import eventually


@pytest.fixture
async def control(database_url: str) -> AsyncGenerator[Control]:
    database = Database(database_url, pool_size=10)
    await database.start()
    yield Control(database)
    await database.stop()


def dispatcher_with(control: Control, term: Term, supervisor: Supervisor) -> Dispatcher:
    """Its pruner is due every 50 ms, and is ended after 50 ms."""
    made = Dispatcher(control.settings, term, control.exchange, control.hints, supervisor)
    pruner = next(errand for errand in made.errands if errand.name == "pruner")
    pruner.every, pruner._limit, pruner._steps.limit = 0.05, 0.05, 0.2
    return made


async def test_they_show_where_the_tasks_of_the_process_show_as_long_as_the_term_lasts(control: Control) -> None:
    term, supervisor = await control.term(), Supervisor()
    made = dispatcher_with(control, term, supervisor)

    async def hangs() -> None:
        await asyncio.Event().wait()

    made.errands[2]._step = hangs

    def states() -> dict[str, TaskState]:
        return {state.name: state for state in supervisor.states()}

    dispatching = asyncio.create_task(made.run())
    await eventually(lambda: "pruner" in states() and states()["pruner"].failures >= 2)
    assert {errand.name for errand in made.errands} | {"timetable", "commit listener", "scheduler"} <= states().keys()
    assert all(state.healthy for state in states().values()), "for a moment anything may fail"
    assert (term.behind < 10, term.stuck()) == (True, None)
    dispatching.cancel()
    await asyncio.wait({dispatching}, timeout=2)
    assert (dispatching.done(), states()) == (True, {})


async def test_a_term_does_not_end_while_one_of_them_does_not_so_that_its_process_is_ended(control: Control) -> None:
    term = await control.term()
    made = dispatcher_with(control, term, Supervisor())
    begun, free = asyncio.Event(), asyncio.Event()

    async def never_ends() -> None:
        begun.set()
        while not free.is_set():
            with contextlib.suppress(asyncio.CancelledError):
                await free.wait()

    made.errands[2]._step = never_ends
    dispatching = asyncio.create_task(made.run())
    await asyncio.wait_for(begun.wait(), 5)
    await eventually(lambda: term.stuck() == "pruner")
    dispatching.cancel()
    await asyncio.wait({dispatching}, timeout=0.1)
    dispatching.cancel()
    await asyncio.wait({dispatching}, timeout=0.3)
    assert not dispatching.done()
    free.set()
    await asyncio.wait({dispatching}, timeout=2)
    assert dispatching.done()


async def test_one_that_does_not_do_its_work_is_told_by_doctor_as_long_as_it_is_so(
    control: Control, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("leveret_core.supervision.PATIENCE", 0.01)
    made = dispatcher_with(control, await control.term(), Supervisor())
    made._timetable.start()

    async def told() -> tuple[str, str]:
        checks = Checks("postgres")
        await examine(Settings(database_url=database_url), checks)
        (check,) = [check for check in checks.found if check.name == "tasks"]
        return check.status, check.detail

    async def fails() -> None:
        raise KeyError("a bug")

    pruner = made.errands[2]
    doing, pruner._step = pruner._step, fails
    await pruner.run_once()
    await asyncio.sleep(0.02)
    await made._look()
    status, detail = await told()
    assert (status, "pruner (KeyError)" in detail) == ("warn", True)
    pruner._step, pruner._limit = doing, 10
    await pruner.run_once()
    await made._look()
    assert await told() == ("ok", "all tasks of the dispatcher do their work")
    made._timetable.stop()
