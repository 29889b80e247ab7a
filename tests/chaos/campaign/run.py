"""A campaign from its start to its verdict."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable, Iterator
from datetime import datetime
from pathlib import Path

from chaos.campaign import logs, verdict
from chaos.campaign.course import Round, rng_of
from chaos.campaign.jobs import PULSE, Load
from chaos.campaign.parts import boottime
from chaos.campaign.recovery import recovery, who_leads
from chaos.campaign.stack import Stack
from chaos.campaign.verdict import History, Verdict
from chaos.campaign.witness import Witness
from leveret_core import states
from support.eventually import eventually
from support.liveness import assert_everything_owned

Say = Callable[[str], None]

QUIET = 180.0
"""Seconds in which everything ends once no job fires any more: retries, a lease, the fifth message to workers."""


class Campaign:
    """One campaign.

    Arguments:
        seed: of the load and of every fault.
        folder: for what the processes print, the witness file and, in the end, the faults that were found.
        say: takes a line for people.
    """

    def __init__(self, seed: int, folder: Path, say: Say) -> None:
        self.seed = seed
        self.folder = folder
        self.verdict = Verdict()
        self._say = say
        self._stack = Stack(folder)
        self._load = Load(self._stack, seed)
        self._witness = Witness(self._stack.witness)

    async def run(self, rounds: Iterator[Round], *, seconds: float, between: float = 3.0) -> Verdict:
        """Break, heal and look, until `seconds` have passed or there are no more rounds; then the quiet, and the verdict.

        Arguments:
            rounds: what comes together, one after another.
            seconds: after which no further fault comes.
            between: seconds of peace before each.
        """
        try:
            async with self._stack.running():
                self._say(f"seed {self.seed}; {len(self._load.jobs)} jobs; what is printed goes to {self.folder}")
                await self._load.make()
                began = await self._now()
                async with self._load.triggering():
                    await self._break(rounds, boottime() + seconds, between)
                await self._judge(began)
        finally:
            kinds = logs.kinds(self.folder)
            if found := logs.bugs(kinds):
                self.verdict.faults["an error that nothing caught"] += found
            self._write("log-kinds.txt", [f"{count:7} {kind}" for kind, count in kinds.most_common()])
        self._write("verdict.txt", self.verdict.lines())
        self._write("faults.json", [json.dumps(self.verdict.faults, indent=1)])
        return self.verdict

    async def _break(self, rounds: Iterator[Round], until: float, between: float) -> None:
        await self._work_flows()
        for number, faults in enumerate(rounds):
            if boottime() > until:
                return
            await asyncio.sleep(between)
            await self._round(number, faults)

    async def _round(self, number: int, faults: Round) -> None:
        name, began = "+".join(fault.name for fault in faults), boottime()
        told = await asyncio.gather(*(self._one(number, n, faults) for n in range(len(faults))))
        healed = boottime()
        found = await recovery(self._stack, self._witness, healed)
        times = ", ".join(f"{goal} {seconds:.1f} s" for goal, seconds in found.seconds.items())
        self._say(f"{number:3} {name} ({'; '.join(told)}), {healed - began:.1f} s: {times or 'no recovery'}")
        for late in found.beyond(max(fault.bound for fault in faults)):
            self._say(f"      LATE: {late}")
            self.verdict.faults["no recovery within its bound"].append(f"{number} {name} ({'; '.join(told)}): {late}")

    async def _one(self, number: int, place: int, faults: Round) -> str:
        fault = faults[place]
        rng = rng_of(self.seed, number, fault)
        if place:
            await asyncio.sleep(rng.uniform(0, 4))
        try:
            return await fault.make(self._stack, rng)
        except Exception as error:  # the campaign goes on: what a fault could not do is told with it
            self.verdict.faults["a fault that could not be made"].append(f"{number} {fault.name}: {error!r}")
            return f"{type(error).__name__}: {str(error)[:200]}"

    async def _work_flows(self) -> None:
        async def flows() -> None:
            self._witness.read()
            jobs = {run.job for run in self._witness.runs}
            assert PULSE in jobs
            assert len(self._witness.pids_since(0)) >= len(self._stack.workers)

        await eventually(flows, timeout=60, interval=0.3)

    async def _judge(self, began: datetime) -> None:
        await self._note("work that nobody is responsible for", self._everything_is_owned, timeout=0)
        ended = await self._now()
        await self._load.pause()
        quiet = boottime()
        try:
            await eventually(self._quiet_ends, timeout=QUIET, interval=0.5)
        except AssertionError as error:
            self.verdict.faults["no end to the quiet"].append(str(error))
        self.verdict.numbers["quiet after"] = f"{boottime() - quiet:.1f} s"
        self._witness.read()
        async with self._stack.sql() as connection:
            history = await History.read(connection)
            await verdict.leftovers(connection, self.verdict)
        verdict.fire_times(history, self._load, began, ended, self.verdict)
        verdict.runs(history, self._load, self._witness, self._stack.parts, self.verdict)
        verdict.promises(history, self._load, self.verdict)
        verdict.statuses(self._stack.statuses, self.verdict)
        await self._note("a queue that is not empty, or not listened to", self._queues_are_empty, timeout=30)
        await self._note("a replica that is not ready at the end", self._stack.all_ready, timeout=5)
        who = await who_leads(self._stack)
        self.verdict.numbers["at the end"] = who
        if "dispatches" not in who or "nobody" in who:
            self.verdict.faults["nobody dispatches at the end"].append(who)
        for part in self._stack.parts:
            try:
                await part.end(timeout=30)
            except AssertionError as error:
                self.verdict.faults["a process that does not end"].append(str(error))
            part.held_down = True
        verdict.exits(self._stack.parts, self.verdict)
        self.verdict.faults = verdict.found_only(self.verdict.faults)

    async def _quiet_ends(self) -> None:
        final = [state.value for state in states.FINAL]
        async with self._stack.sql() as connection:
            live = await connection.fetchval("select count(*) from occurrence where state::text <> all($1)", final)
            slots = await connection.fetchval("select count(*) from slot")
        assert (live, slots) == (0, 0), f"{live} live occurrences, {slots} slots"

    async def _everything_is_owned(self) -> None:
        await assert_everything_owned(self._stack.database_url, timeout=40)

    async def _queues_are_empty(self) -> None:
        wrong = verdict.queues(await self._stack.depths(), len(self._stack.replicas))
        assert not wrong, "; ".join(wrong)

    async def _note(self, kind: str, look: Callable[[], Awaitable[None]], *, timeout: float) -> None:
        try:
            await eventually(look, timeout=timeout, interval=0.5)
        except AssertionError as error:
            self.verdict.faults[kind].append(str(error))

    async def _now(self) -> datetime:
        async with self._stack.sql() as connection:
            now: datetime = await connection.fetchval("select clock_timestamp()")
        return now

    def _write(self, name: str, lines: list[str]) -> None:
        (self.folder / name).write_text("\n".join(lines) + "\n")
