"""A supervisor of processes that a test scripts: it sees what real workers tell, and nothing else of them."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from leveret.cli.processes import supervisor as supervisor_module
from leveret.cli.processes.memory import family_memory, parse_size
from leveret.cli.processes.supervisor import Limits, NoWorkerStarts, Supervisor
from leveret.cli.processes.worker_process import WorkerProcess
from leveret.errors import ConfigurationError
from support.eventually import eventually

PRELUDE = """
import os, signal, sys, threading, time
from leveret.cli.processes.supervision import supervision
me = supervision()
folder, name = sys.argv[1:]
def mark(what):
    with open(f"{folder}/log", "a") as file:
        print(what, name, os.getpid(), file=file)
ended = threading.Event()
signal.signal(signal.SIGTERM, lambda *_: ended.set())
def wait_for_the_end():
    def hear():
        while heard := me._hear():
            mark("retired")
            ended.set()
    threading.Thread(target=hear, daemon=True).start()
    while not ended.wait(0.05):
        pass
    mark("ends")
    sys.exit(0)
mark("begins")
"""
WORKS = "me.tell(connected=True); me.tell(serving=True)\nwait_for_the_end()\n"


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(supervisor_module, "CHECK_INTERVAL", 0.1)
    monkeypatch.setattr(supervisor_module, "LAST_WORDS", 1.0)


class Log:
    """What processes wrote down."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def lines(self, what: str) -> list[tuple[str, int]]:
        """Name and pid of each process that wrote `what`."""
        path = self.folder / "log"
        found = [line.split() for line in path.read_text().splitlines()] if path.exists() else []
        return [(name, int(pid)) for said, name, pid in found if said == what]


@pytest.fixture
def log(tmp_path: Path) -> Log:
    return Log(tmp_path)


def starting(log: Log, script: str) -> Callable[[str], WorkerProcess]:
    return lambda name: WorkerProcess(name, [sys.executable, "-c", PRELUDE + script, str(log.folder), name], {})


class Supervised:
    """A supervisor that runs."""

    def __init__(self, task: asyncio.Task[int], stopping: asyncio.Event) -> None:
        self.task = task
        self.stopping = stopping

    async def stop(self) -> int:
        """SIGTERM, and its exit code."""
        self.stopping.set()
        return await asyncio.wait_for(self.task, 10)


@asynccontextmanager
async def supervising(
    log: Log, script: str, *names: str, pauses: tuple[float, float] = (0.05, 0.2), tries: int = 3, **limits: float
) -> AsyncGenerator[Supervised]:
    stopping = asyncio.Event()
    given = Limits(pauses=pauses, tries=tries, **limits)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    task = asyncio.create_task(Supervisor(names, starting(log, script), given).run(stopping))
    try:
        yield Supervised(task, stopping)
    finally:
        if not task.done():
            task.cancel()
        await asyncio.gather(task, return_exceptions=True)
    for _, pid in log.lines("begins"):
        with pytest.raises(ProcessLookupError):
            os.kill(pid, 0)


async def test_each_name_has_a_process_and_all_end_when_told_to(log: Log) -> None:
    async with supervising(log, WORKS, "a", "b", "c") as supervised:
        await eventually(lambda: sorted(name for name, _ in log.lines("begins")) == ["a", "b", "c"])
        assert await supervised.stop() == 0
        assert sorted(log.lines("ends")) == sorted(log.lines("begins"))


async def test_a_process_that_dies_is_started_again_and_the_others_go_on(log: Log) -> None:
    async with supervising(log, WORKS, "a", "b") as supervised:
        await eventually(lambda: len(log.lines("begins")) == 2)
        pids = dict(log.lines("begins"))
        os.kill(pids["b"], signal.SIGKILL)
        await eventually(lambda: len(log.lines("begins")) == 3)
        name, again = log.lines("begins")[-1]
        assert (name, again != pids["b"]) == ("b", True)
        os.kill(pids["a"], 0)
        assert await supervised.stop() == 0


async def test_what_the_first_one_cannot_do_is_tried_once_and_its_exit_code_is_passed_on(
    log: Log, caplog: pytest.LogCaptureFixture
) -> None:
    async with supervising(log, "sys.exit(2)", "a", "b", "c") as supervised:
        assert await asyncio.wait_for(supervised.task, 5) == 2
    assert len(log.lines("begins")) == 1
    assert "worker a ended with exit code 2; no other was started" in caplog.text


async def test_a_first_one_that_is_killed_gives_exit_code_1(log: Log) -> None:
    async with supervising(log, "os.kill(os.getpid(), 9)", "a", "b") as supervised:
        assert await asyncio.wait_for(supervised.task, 5) == 1


async def test_when_none_can_start_any_more_the_last_reason_ends_the_supervisor(log: Log) -> None:
    script = (
        "if os.path.exists(folder + '/broken'):\n    me.tell(error='ImportError: no flour'); sys.exit(1)\n"
        "me.tell(connected=True); me.tell(serving=True)\n"
        "while not os.path.exists(folder + '/broken'): time.sleep(0.02)\n"
        "sys.exit(3)\n"
    )
    async with supervising(log, script, "a", "b") as supervised:
        await eventually(lambda: len(log.lines("begins")) == 2)
        (log.folder / "broken").touch()
        with pytest.raises(NoWorkerStarts, match=r"ended with exit code 1 \(ImportError: no flour\)"):
            await asyncio.wait_for(supervised.task, 10)
        assert len(log.lines("begins")) == 2 + 2 * 3


async def test_pauses_between_starts_grow_to_their_bound(log: Log, caplog: pytest.LogCaptureFixture) -> None:
    script = "me.tell(connected=True)\nif name == 'b': time.sleep(0.05); sys.exit(1)\n" + WORKS
    async with supervising(log, script, "a", "b", pauses=(0.1, 0.4)):
        await eventually(lambda: caplog.text.count("another one starts in") >= 5)
        await eventually(lambda: len(log.lines("begins")) >= 6)
    pauses = [float(line.split("starts in ")[1].split()[0]) for line in caplog.text.splitlines() if "starts in" in line]
    assert pauses[0] <= 0.1
    assert all(0.2 <= pause <= 0.4 for pause in pauses[3:])


async def test_one_that_is_worn_out_ends_only_when_another_works_in_its_place(log: Log) -> None:
    script = "me.tell(connected=True); time.sleep(0.3); mark('works'); me.tell(serving=True); me.tell(finished=10)\n" + (
        "wait_for_the_end()\n"
    )
    async with supervising(log, script, "a", max_occurrences=10) as supervised:
        await eventually(lambda: len(log.lines("ends")) >= 2)
        assert await supervised.stop() == 0
    (_, first), (_, second), *_ = log.lines("begins")
    said = [line.split() for line in (log.folder / "log").read_text().splitlines()]
    order = [(what, int(pid)) for what, _, pid in said]
    assert order.index(("works", second)) < order.index(("retired", first))


async def test_one_whose_runs_take_long_is_not_replaced_again_before_it_has_ended(log: Log) -> None:
    script = (
        "me.tell(connected=True); me.tell(serving=True); me.tell(finished=10)\n"
        "signal.signal(signal.SIGTERM, lambda *_: os._exit(0))\n"
        "while me._hear(): mark('retired')\n"
        "time.sleep(60)\n"
    )
    async with supervising(log, script, "a", max_occurrences=10) as supervised:
        await eventually(lambda: len(log.lines("retired")) == 1)
        await asyncio.sleep(0.6)
        assert len(log.lines("begins")) == 2
        assert await supervised.stop() == 0


async def test_one_that_takes_too_much_memory_with_its_children_is_replaced(log: Log) -> None:
    script = (
        "import subprocess\n"
        "if len(open(folder + '/log').readlines()) == 1:\n"
        "    eater = 'x = bytearray(200 << 20); import sys; sys.stdin.read()'\n"
        "    eating = subprocess.Popen([sys.executable, '-c', eater], stdin=subprocess.PIPE)\n"
    ) + WORKS
    async with supervising(log, script, "a", max_memory=150 << 20) as supervised:
        await eventually(lambda: len(log.lines("retired")) == 1)
        assert len(log.lines("begins")) == 2
        await asyncio.sleep(0.5)
        assert len(log.lines("begins")) == 2, "the new one is small"
        assert await supervised.stop() == 0


async def test_a_successor_that_does_not_start_leaves_the_old_one_at_work(log: Log) -> None:
    script = (
        "if len(open(folder + '/log').readlines()) > 1: sys.exit(1)\n"
        "me.tell(connected=True); me.tell(serving=True); me.tell(finished=10)\nwait_for_the_end()\n"
    )
    async with supervising(log, script, "a", max_occurrences=10) as supervised:
        await eventually(lambda: len(log.lines("begins")) >= 3)
        assert log.lines("retired") == []
        assert await supervised.stop() == 0


async def test_a_second_signal_ends_those_that_drain_too_long(log: Log) -> None:
    script = (
        "def told(*_):\n    mark('told')\n    if len(open(folder + '/log').readlines()) > 3: os._exit(130)\n"
        "signal.signal(signal.SIGTERM, told)\nme.tell(connected=True)\nwhile True: time.sleep(0.01)\n"
    )
    async with supervising(log, script, "a") as supervised:
        await eventually(lambda: len(log.lines("begins")) == 1)
        supervised.stopping.set()
        await eventually(lambda: len(log.lines("told")) == 1)
        supervised.task.cancel()
        await eventually(lambda: len(log.lines("told")) == 2)


async def test_one_that_does_not_end_is_killed(log: Log, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(supervisor_module, "KILL_MARGIN", 0.2)
    script = "signal.signal(signal.SIGTERM, signal.SIG_IGN); me.tell(connected=True)\nwhile True: time.sleep(1)\n"
    async with supervising(log, script, "a", grace=0.1) as supervised:
        await eventually(lambda: len(log.lines("begins")) == 1)
        assert await supervised.stop() == 0


def test_sizes_are_written_with_a_unit_or_without() -> None:
    assert [parse_size(text) for text in ("512M", "1.5g", "300 MiB", "64KB", "1048576", "0")] == [
        512 << 20,
        3 << 29,
        300 << 20,
        64 << 10,
        1 << 20,
        0,
    ]
    for wrong in ("", "lots", "-1M", "5X", "1e3"):
        with pytest.raises(ConfigurationError, match="such as 512M"):
            parse_size(wrong)


def test_memory_of_a_process_that_is_gone_is_none() -> None:
    ours = family_memory([os.getpid(), 2**22 + 1])
    assert ours[os.getpid()] > 10 << 20
    assert ours[2**22 + 1] == 0
