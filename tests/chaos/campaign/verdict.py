"""The end of a campaign: what the handlers witnessed, against what Postgres says."""

from __future__ import annotations

import itertools
import json
import signal
from collections import Counter, defaultdict
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

import asyncpg

from chaos.campaign.jobs import EXIT_CODE, Load, Planned
from chaos.campaign.parts import Part
from chaos.campaign.witness import Key, Run, Witness
from leveret_core import states, topology
from leveret_dispatcher.leadership import watchdog

SLACK = timedelta(seconds=45)
"""How far the first and the last fire time of a job may be from the beginning and the end of the campaign."""
ALLOWED_EXITS = (EXIT_CODE, watchdog.EXIT_CODE, 1)
"""A handler ended it; the watchdog did; it was started while a server was away, said so, and was started again."""
STOPPED = (0, -signal.SIGKILL, -signal.SIGTERM)
"""What one ends with that was told to; by the signal itself when it had only just begun."""
SHOWN = 10
"""Examples of each fault that are printed; all of them are in the folder."""


@dataclass
class Verdict:
    """Numbers for people, and faults, by kind, each with the rows or runs that show it."""

    numbers: dict[str, Any] = field(default_factory=dict[str, Any])
    faults: defaultdict[str, list[str]] = field(default_factory=lambda: defaultdict[str, list[str]](list))

    def lines(self) -> list[str]:
        """What is printed."""
        found = [f"  {name}: {value}" for name, value in self.numbers.items()]
        for kind, examples in self.faults.items():
            found.append(f"  FAULT {kind}: {len(examples)}")
            found += [f"      {example}" for example in examples[:SHOWN]]
        return found


@dataclass(frozen=True)
class History:
    """All that Postgres says at the end."""

    occurrences: dict[int, asyncpg.Record]
    attempts: dict[Key, asyncpg.Record]

    @classmethod
    async def read(cls, connection: asyncpg.Connection[asyncpg.Record]) -> History:
        """Of one database."""
        occurrences = await connection.fetch(
            """select id, job_id, job_name, origin, state::text, scheduled_for, attempt, lost_count, reason, error::text,
                      idempotency_key, missed_count, missed_until, started_at, finished_at
               from occurrence"""
        )
        attempts = await connection.fetch("select occurrence_id, attempt, state, error::text from attempt")
        return cls({row["id"]: row for row in occurrences}, {(row["occurrence_id"], row["attempt"]): row for row in attempts})

    def state_of(self, key: Key) -> str | None:
        """How an attempt ended: as the row of the occurrence says, or as the record of an earlier attempt does."""
        if (kept := self.attempts.get(key)) is not None:
            return str(kept["state"])
        row = self.occurrences.get(key[0])
        return str(row["state"]) if row is not None and row["attempt"] == key[1] else None


def fire_times(history: History, load: Load, began: datetime, ended: datetime, verdict: Verdict) -> None:
    """Every fire time has its occurrence, or belongs to a record of missed ones."""
    by_job: defaultdict[str, list[asyncpg.Record]] = defaultdict(list)
    for row in history.occurrences.values():
        if row["origin"] == "schedule":
            by_job[row["job_name"]].append(row)
    expected = have = 0
    for job in (job for job in load.jobs.values() if job.every):
        rows = sorted(by_job[job.name], key=lambda row: row["scheduled_for"])
        if not rows and ended - began < timedelta(seconds=job.every) + SLACK:
            continue
        if not rows or rows[0]["scheduled_for"] > began + timedelta(seconds=job.every) + SLACK:
            verdict.faults["a schedule that did not begin"].append(job.name)
            continue
        last = max(row["missed_until"] or row["scheduled_for"] for row in rows)
        if last < ended - timedelta(seconds=job.every) - SLACK:
            verdict.faults["a schedule that stopped"].append(f"{job.name}: after {last:%H:%M:%S}")
        expected += round((last - rows[0]["scheduled_for"]).total_seconds() / job.every) + 1
        have += sum(row["missed_count"] or 1 for row in rows)
        verdict.faults["a fire time without occurrence, or with two"] += _gaps(job, rows)
    verdict.numbers["fire times"] = f"{expected} expected, {have} have an occurrence"


def _gaps(job: Planned, rows: list[asyncpg.Record]) -> list[str]:
    found: list[str] = []
    for row, following in itertools.pairwise(rows):
        until = row["missed_until"] or row["scheduled_for"]
        if round((following["scheduled_for"] - until).total_seconds() / job.every, 3) != 1:
            found.append(f"{job.name}, every {job.every} s: {following['scheduled_for']} follows {until} ({row['state']})")
        if row["missed_count"] and round((until - row["scheduled_for"]).total_seconds() / job.every) + 1 != row["missed_count"]:
            found.append(f"{job.name}: {row['missed_count']} missed from {row['scheduled_for']} to {until}")
    return found


def runs(history: History, load: Load, witness: Witness, parts: list[Part], verdict: Verdict) -> None:
    """Every attempt that began was given once, and its end is what its handler said."""
    frozen = [(pid, began, ended) for part in parts for pid, began, ended in part.frozen]
    exits = [(each.pid, each.at) for part in parts for each in part.exits]
    witness.close(exits)
    faults, ends = verdict.faults, Counter[str]()
    faults["an attempt that began twice"] += [f"{_told(key)}" for key in witness.began_twice()]
    of = witness.of()
    for key, run in of.items():
        state = history.state_of(key)
        if state is None:
            faults["a run that Postgres knows nothing of"].append(_told(key, run))
        elif run.outcome == "end" and state in ("failed", "timed_out"):
            faults["a success recorded as something else"].append(f"{_told(key, run)}: {state} {_error(history, key)}")
        elif run.outcome == "failed" and state == "succeeded":
            faults["a failure recorded as a success"].append(_told(key, run))
        elif run.outcome == "end" and state != "succeeded":
            ends[f"ended, and counts as {state}"] += 1
    for row in history.occurrences.values():
        key = (row["id"], row["attempt"])
        if row["state"] == "succeeded" and (key not in of or of[key].outcome != "end"):
            faults["a success that no handler witnessed"].append(f"{_told(key)} of {row['job_name']}")
        expects_failure = row["job_name"].startswith("fails-")
        if row["state"] == "failed" and not expects_failure:
            faults["a run that failed for no reason of its own"].append(
                f"{_told(key)} of {row['job_name']}: {row['error'] or row['reason']}"
            )
        if row["state"] == "timed_out" and not row["job_name"].startswith("late-"):
            faults["timed out without a timeout"].append(f"{_told(key)} of {row['job_name']}")
    alone = {job.name for job in load.jobs.values() if job.alone}
    for earlier, later in witness.overlaps():
        if later.job in alone and not _was_frozen(earlier, frozen):
            state = history.state_of(earlier.key)
            faults["an overlap"].append(f"{earlier.job}: {_told(earlier.key, earlier)} ({state}) and {_told(later.key, later)}")
    given = sum(row["attempt"] for row in history.occurrences.values())
    lost = sum(row["lost_count"] for row in history.occurrences.values())
    verdict.numbers["attempts"] = f"{given} given by Postgres, {len(witness.runs)} witnessed, {lost} lost"
    verdict.numbers["ends that came too late"] = dict(ends)
    verdict.numbers["occurrences"] = dict(Counter(row["state"] for row in history.occurrences.values()))


def promises(history: History, load: Load, verdict: Verdict) -> None:
    """What a client was told would run exists once, and ended."""
    by_key = Counter(row["idempotency_key"] for row in history.occurrences.values() if row["idempotency_key"])
    verdict.faults["an accepted run that does not exist"] += [key for key in load.accepted if not by_key[key]]
    verdict.faults["two runs of one idempotency key"] += [key for key, count in by_key.items() if count > 1]
    verdict.numbers["accepted runs"] = len(load.accepted)


async def leftovers(connection: asyncpg.Connection[asyncpg.Record], verdict: Verdict) -> None:
    """After the quiet there is nothing live, nothing held, and nothing in quarantine."""
    final = [state.value for state in states.FINAL]
    checks = {
        "a live row after the quiet": (
            """select o.id, o.job_name, o.state::text, o.attempt, o.worker_id, w.state as worker, o.ring_at,
                      o.rings, o.started_at
               from occurrence o left join worker w on w.id = o.worker_id where o.state::text <> all($1)""",
            [final],
        ),
        "a slot after the quiet": ("select * from slot", []),
        "an event in quarantine": (
            "select id, at, reason, convert_from(substr(body, 1, 200), 'SQL_ASCII') from dead_event",
            [],
        ),
        "a final row without an end": (
            "select id, job_name, state::text from occurrence where finished_at is null and state::text = any($1)",
            [final],
        ),
        "a job paused by itself": ("select name, pause_reason from job where pause_reason <> 'the campaign is over'", []),
    }
    for kind, (statement, arguments) in checks.items():
        verdict.faults[kind] += [str(dict(row)) for row in await connection.fetch(statement, *arguments)]


def queues(depths: dict[str, tuple[int, int]], replicas: int) -> list[str]:
    """What is wrong: the queues are to be empty, and each replica still to listen."""
    found = [f"{messages} messages in {name}" for name, (messages, _) in depths.items() if messages and "control" not in name]
    listened = {name: depths.get(name, (0, 0))[1] for name in (topology.EVENTS_QUEUE, topology.CLAIMS_QUEUE)}
    return found + [f"{name} has {consumers} consumers" for name, consumers in listened.items() if consumers != replicas]


def statuses(counts: Counter[int], verdict: Verdict) -> None:
    """What clients were answered: in the worst case 503, never 500."""
    verdict.numbers["HTTP statuses (0: no answer)"] = dict(sorted(counts.items()))
    verdict.faults["an HTTP status that tells of an error of ours"] += [
        f"{count} times {status}" for status, count in counts.items() if status >= 500 and status != 503
    ]


def exits(parts: list[Part], verdict: Verdict) -> None:
    """Nothing ended that nobody had asked to, but for those that may: see `ALLOWED_EXITS`."""
    unasked = Counter(
        (part.name.split()[0], each.code) for part in parts for each in part.exits if not each.asked or each.code not in STOPPED
    )
    verdict.numbers["exits nobody asked for"] = {f"{part} with {code}": count for (part, code), count in unasked.items()}
    verdict.faults["a process that died"] += [
        f"{count} times a {part} with code {code}" for (part, code), count in unasked.items() if code not in ALLOWED_EXITS
    ]


def found_only(faults: defaultdict[str, list[str]]) -> defaultdict[str, list[str]]:
    """Without the kinds of which there are none."""
    return defaultdict(list, {kind: examples for kind, examples in faults.items() if examples})


def _was_frozen(run: Run, frozen: list[tuple[int, float, float]]) -> bool:
    """Whether its process was halted while it ran: it could not know that its lease was over."""
    return any(pid == run.pid and began < (run.ended or ended) and ended > run.began for pid, began, ended in frozen)


def _told(key: Key, run: Run | None = None) -> str:
    where = f" in pid {run.pid} from {run.began:.1f} to {run.ended or 0:.1f}" if run else ""
    return f"attempt {key[1]} of occurrence {key[0]}{where}"


def _error(history: History, key: Key) -> str:
    row = history.attempts.get(key) or history.occurrences.get(key[0])
    error = row["error"] if row is not None else None
    return str({name: text for name, text in json.loads(error).items() if name != "traceback"}) if error else ""
