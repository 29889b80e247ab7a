"""Crontab files as job definitions."""

from __future__ import annotations

import re
from collections import defaultdict
from dataclasses import dataclass, field
from hashlib import blake2b
from itertools import chain, count
from typing import Any, TypedDict

from .triggers import Cron, TriggerError, describe, encode, validate, zone

SHELL_JOB_TYPE = "shell.run"

_LONGEST_NAME = 60
_LONGEST_DESCRIPTION = 500
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\ud800-\udfff]")
_ENVIRONMENT = re.compile(r"""("[^"]*"|'[^']*'|[A-Za-z_][A-Za-z0-9_]*)\s*=\s*(.*)""")
_LOOKS_LIKE_ENTRY = re.compile(r"#+\s*(@[a-z]+\s|([\d*/,-]+\s+){4,5}\S)")
_FIRST_PERCENT = re.compile(r"\\.|(%)", re.DOTALL)


class CrontabJob(TypedDict):
    """A job definition as `POST /jobs` takes it.

    `payload` is `{"command": str, "stdin": str | None, "env": {name: value}}`, for a system crontab with `"user": str`.
    `trigger` is the JSON form of a `Cron`.
    """

    name: str
    type: str
    description: str
    payload: dict[str, Any]
    trigger: dict[str, Any]


@dataclass(frozen=True, slots=True)
class CrontabProblem:
    """Something in a crontab that needs a person.

    Args:
        line: number of the line, from 1.
        message: what is wrong and what to do.
        fatal: True when the entry of this line was left out; False for a remark on what was taken over.
    """

    line: int
    message: str
    fatal: bool = True


@dataclass(frozen=True, slots=True)
class CrontabResult:
    """What a crontab came to.

    Args:
        jobs: in the order of the file.
        problems: in the order of the file; fatal ones are entries that are not among the jobs.
    """

    jobs: list[CrontabJob]
    problems: list[CrontabProblem]


@dataclass(slots=True)
class _Reader:
    system: bool
    timezone: str
    env: dict[str, str] = field(default_factory=dict[str, str])
    comments: list[str] = field(default_factory=list[str])
    jobs: list[CrontabJob] = field(default_factory=list[CrontabJob])
    problems: list[CrontabProblem] = field(default_factory=list[CrontabProblem])
    zone_is_explicit: bool = False
    zone_is_bad: bool = False


def parse_crontab(text: str, *, system: bool = False, timezone: str = "UTC") -> CrontabResult:
    """Turn a crontab into job definitions; what cannot be taken over is listed, never raised.

    Args:
        text: the file's content, as `crontab -l` prints it.
        system: True for `/etc/crontab` and `/etc/cron.d/*`, which have a user before the command.
        timezone: IANA name of the zone the crontab's host runs in; `CRON_TZ=` in the file takes precedence.

    Raises:
        TriggerError: if `timezone` is not known.
    """
    zone(timezone)
    reader = _Reader(system=system, timezone=timezone)
    for number, line in enumerate(text.removeprefix("\ufeff").split("\n"), start=1):
        line = line.removesuffix("\r").strip(" \t")
        if not line:
            reader.comments.clear()
        elif line.startswith("#"):
            # A comment right above an entry describes it, unless it is an entry that was switched off.
            if _LOOKS_LIKE_ENTRY.match(line):
                reader.comments.clear()
            else:
                reader.comments.append(line.lstrip("#").strip())
        elif _CONTROL.search(line.replace("\t", " ")):
            message = "has control characters or is not UTF-8; it may not be what it looks like, write it anew"
            reader.problems.append(CrontabProblem(number, message))
            reader.comments.clear()
        else:
            assignment = _ENVIRONMENT.fullmatch(line)
            if assignment:
                _take_environment(reader, number, _unquote(assignment[1]), _unquote(assignment[2]))
            else:
                _take_entry(reader, number, line)
            reader.comments.clear()
    _make_names_unique(reader.jobs)
    return CrontabResult(reader.jobs, reader.problems)


def _take_environment(reader: _Reader, number: int, name: str, value: str) -> None:
    if name in ("MAILTO", "MAILFROM"):
        if value:
            message = f"{name} is not taken over: output goes into the occurrence's log"
            reader.problems.append(CrontabProblem(number, message, fatal=False))
        return
    if name == "CRON_TZ" or (name == "TZ" and not reader.zone_is_explicit):
        _take_zone(reader, number, name, value)
    if name != "CRON_TZ":
        reader.env[name] = value


def _take_zone(reader: _Reader, number: int, name: str, value: str) -> None:
    try:
        zone(value)
    except TriggerError as error:
        reader.zone_is_bad = True
        reader.problems.append(CrontabProblem(number, f"{name}: {error.message}; the entries below need it"))
        return
    reader.timezone, reader.zone_is_bad = value, False
    if name == "CRON_TZ":
        reader.zone_is_explicit = True
    else:
        message = f"the entries below are scheduled in {value}; where cron used TZ for commands only, set CRON_TZ as well"
        reader.problems.append(CrontabProblem(number, message, fatal=False))


def _take_entry(reader: _Reader, number: int, line: str) -> None:
    columns = (1 if line.startswith("@") else 5) + (1 if reader.system else 0)
    parts = line.split(None, columns)
    if len(parts) <= columns:
        layout = "minute hour day month weekday" + (" user" if reader.system else "") + " command"
        reader.problems.append(CrontabProblem(number, f"expected {layout}, or an alias such as @daily in place of five"))
        return
    expression = " ".join(parts[: columns - 1 if reader.system else columns])
    if expression.lower() == "@reboot":
        message = "@reboot is not supported: a job has no machine to boot with; start it by hand or from the host"
        reader.problems.append(CrontabProblem(number, message))
        return
    if reader.zone_is_bad:
        reader.problems.append(CrontabProblem(number, "left out, its time zone is not known (see above)"))
        return
    try:
        trigger = validate(Cron(expression, reader.timezone))
    except TriggerError as error:
        reader.problems.append(CrontabProblem(number, error.message))
        return
    command, stdin = _split_stdin(parts[columns])
    if not command:
        reader.problems.append(CrontabProblem(number, "has no command before the first %"))
        return
    if not reader.system and command.startswith("root "):
        message = "the command begins with a user's name: read the file as a system crontab (/etc/crontab) instead"
        reader.problems.append(CrontabProblem(number, message, fatal=False))
    payload: dict[str, Any] = {"command": command, "stdin": stdin, "env": dict(reader.env)}
    if reader.system:
        payload["user"] = parts[columns - 1]
    comment = _CONTROL.sub(" ", " ".join(filter(None, reader.comments)))[:_LONGEST_DESCRIPTION]
    description = comment or f"From a crontab: {describe(trigger)}"
    reader.jobs.append(
        CrontabJob(name=_slug(command), type=SHELL_JOB_TYPE, description=description, payload=payload, trigger=encode(trigger))
    )


def _split_stdin(text: str) -> tuple[str, str | None]:
    r"""Split at the first `%`: what follows is input, in which `%` is a line break; `\%` is a percent sign in both."""
    end = next((match.start() for match in _FIRST_PERCENT.finditer(text) if match[1]), None)
    command = text[:end].replace("\\%", "%").strip()
    if end is None or end + 1 == len(text):
        return command, None
    stdin = re.sub(r"\\?%", lambda match: "\n" if match[0] == "%" else "%", text[end + 1 :])
    return command, stdin if stdin.endswith("\n") else stdin + "\n"


def _unquote(text: str) -> str:
    text = text.strip()
    return text[1:-1] if len(text) >= 2 and text[0] == text[-1] and text[0] in "\"'" else text


def _slug(command: str) -> str:
    """Return a readable name: the program without its folder, and its arguments without redirections."""
    words = re.sub(r"\d*>>?\s*(&\d|\S+)|<\s*\S+", " ", command).split()
    while words and re.match(r"[A-Za-z_]\w*=", words[0]):
        del words[0]
    if words:
        words[0] = words[0].rsplit("/", 1)[-1]
    slug = re.sub(r"[^a-z0-9]+", "-", " ".join(words).lower()).strip("-")
    # A job's name begins with a letter.
    slug = slug if slug[:1].isalpha() else f"run-{slug}"
    return slug[:_LONGEST_NAME].rstrip("-")


def _make_names_unique(jobs: list[CrontabJob]) -> None:
    """Tell apart jobs of one name, so that the next import of the file, lines moved or schedules changed, finds them again.

    Different commands get a hash of the command; the same command at several times gets a number by its place.
    """
    commands: defaultdict[str, set[tuple[str, str | None]]] = defaultdict(set)
    for job in jobs:
        commands[job["name"]].add((job["payload"]["command"], job["payload"]["stdin"]))
    taken: set[str] = set()
    for job in jobs:
        name = job["name"]
        if len(commands[name]) > 1:
            key = f"{job['payload']['command']}\0{job['payload']['stdin']}"
            name += "-" + blake2b(key.encode(), digest_size=3).hexdigest()
        candidates = chain([name], (f"{name}-{number}" for number in count(2)))
        job["name"] = next(candidate for candidate in candidates if candidate not in taken)
        taken.add(job["name"])
