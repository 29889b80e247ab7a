"""Crontab files as job definitions."""

from __future__ import annotations

import re
from collections import defaultdict
from dataclasses import dataclass, field
from hashlib import blake2b
from itertools import chain, count
from typing import Any, TypedDict

from .text import clean_text
from .triggers import Cron, TriggerError, describe, encode, validate, zone

SHELL_JOB_TYPE = "shell.run"

_LONGEST_NAME = 60
_LONGEST_DESCRIPTION = 500
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\ud800-\udfff]")
_ENVIRONMENT = re.compile(r"""("[^"]*"|'[^']*'|[A-Za-z_][A-Za-z0-9_]*)\s*=\s*(.*)""")
_LOOKS_LIKE_ENTRY = re.compile(r"#+\s*(@[a-z]+\s|([\d*/,-]+\s+){4,5}\S)")
_USER = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]*\$?(:[A-Za-z_][\w.-]*)?(/[A-Za-z_][\w.-]*)?")
_HEADER_OF_SYSTEM = re.compile(r"#.*\b(dow|wday|weekday)\s+(user(name)?|user-name|who)\b", re.IGNORECASE)
_ENTRY_OF_ROOT = re.compile(r"\s*(-?(@\S+)|-?[\d*][\d*/,~-]*(\s+\S+){4})\s+root\s+\S")
_EVERY = re.compile(r"@every\s+\S+", re.IGNORECASE)
_FIRST_PERCENT = re.compile(r"\\.|(%)", re.DOTALL)


class CrontabJob(TypedDict):
    """An entry as `POST /imports` takes it: a job definition, and a `key` for its command, whenever that is due.

    `payload` is `{"command": str, "stdin": str | None, "env": {name: value}}`, for a system crontab with `"user": str`.
    `trigger` is the JSON form of a `Cron`, or of an `Interval` for `@every 5m`.
    """

    key: str
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
    looks_like_system: bool
    env: dict[str, str] = field(default_factory=dict[str, str])
    comments: list[str] = field(default_factory=list[str])
    jobs: list[CrontabJob] = field(default_factory=list[CrontabJob])
    problems: list[CrontabProblem] = field(default_factory=list[CrontabProblem])
    jitter: float = 0.0
    zone_is_explicit: bool = False
    zone_is_bad: bool = False


def parse_crontab(text: str, *, system: bool | None = None, timezone: str = "UTC") -> CrontabResult:
    """Turn a crontab into job definitions; what cannot be taken over is listed, never raised.

    Args:
        text: the file's content, as `crontab -l` prints it.
        system: True for `/etc/crontab` and `/etc/cron.d/*`, which have a user before the command; False for a user's crontab.
            None (default) reads a user's, and leaves the entries out if it looks like the former.
        timezone: IANA name of the zone the crontab's host runs in; `CRON_TZ=` in the file takes precedence.

    Raises:
        TriggerError: if `timezone` is not known.
    """
    zone(timezone)
    reader = _Reader(system=bool(system), timezone=timezone, looks_like_system=system is None and _looks_like_system(text))
    for number, line in enumerate(text.removeprefix("\ufeff").split("\n"), start=1):
        line = line.removesuffix("\r").strip(" \t")
        if not line:
            reader.comments.clear()
        elif line.startswith("#"):
            # A comment right above an entry describes it, unless it is an entry that was switched off.
            if _LOOKS_LIKE_ENTRY.match(line):
                reader.comments.clear()
            else:
                reader.comments.append(clean_text(line.lstrip("#").strip()))
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


def _looks_like_system(text: str) -> bool:
    """Whether some line is a header that names the user's column, or an entry of root's."""
    return any(_HEADER_OF_SYSTEM.match(line.strip()) or _ENTRY_OF_ROOT.match(line) for line in text.split("\n"))


def _take_environment(reader: _Reader, number: int, name: str, value: str) -> None:
    if name in ("MAILTO", "MAILFROM"):
        if value:
            message = f"{name} is not taken over: output goes into the occurrence's log"
            reader.problems.append(CrontabProblem(number, message, fatal=False))
        return
    if name == "RANDOM_DELAY":
        _take_random_delay(reader, number, value)
        return
    if name in ("START_HOURS_RANGE", "CRON_WITHIN"):
        reader.problems.append(
            CrontabProblem(number, f"{name} is not taken over: the entries below are due at any hour", fatal=False)
        )
        return
    if "$" in value:
        message = f"{name} is taken as it stands: like cron, nothing puts a variable's value in the place of $"
        reader.problems.append(CrontabProblem(number, message, fatal=False))
    if name == "CRON_TZ" or (name == "TZ" and not reader.zone_is_explicit):
        _take_zone(reader, number, name, value)
    if name != "CRON_TZ":
        reader.env[name] = value


def _take_random_delay(reader: _Reader, number: int, value: str) -> None:
    if value.isascii() and value.isdigit() and int(value[:5]) <= 1440:
        reader.jitter = int(value) * 60.0
    else:
        reader.problems.append(
            CrontabProblem(number, "RANDOM_DELAY is not taken over: it is no number of minutes up to 1440", False)
        )


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
    # A minus in front keeps some crons from logging the entry.
    line = line.removeprefix("-")
    columns = (_columns_of_alias(line) if line.startswith("@") else 5) + (1 if reader.system else 0)
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
    if problem := _user_problem(reader, parts[columns - 1]):
        reader.problems.append(CrontabProblem(number, problem))
        return
    try:
        trigger = validate(Cron(expression, reader.timezone, jitter=reader.jitter))
    except TriggerError as error:
        reader.problems.append(CrontabProblem(number, error.message))
        return
    command, stdin = _split_stdin(parts[columns])
    if not command:
        reader.problems.append(CrontabProblem(number, "has no command before the first %"))
        return
    payload: dict[str, Any] = {"command": command, "stdin": stdin, "env": dict(reader.env)}
    if reader.system:
        payload["user"] = parts[columns - 1]
    comment = _CONTROL.sub(" ", " ".join(filter(None, reader.comments)))[:_LONGEST_DESCRIPTION]
    description = comment or f"From a crontab: {describe(trigger)}"
    reader.jobs.append(
        CrontabJob(
            key=_key(payload),
            name=_slug(command),
            type=SHELL_JOB_TYPE,
            description=description,
            payload=payload,
            trigger=encode(trigger),
        )
    )


def _columns_of_alias(line: str) -> int:
    return 2 if _EVERY.match(line) else 1


def _user_problem(reader: _Reader, user: str) -> str | None:
    if reader.looks_like_system:
        return "left out: the file looks like a system crontab, with a user before the command; say --system, or --user if not"
    if reader.system and not _USER.fullmatch(user):
        return f"{user[:40]!r} is no user's name, which a system crontab has before the command; is --system right?"
    return None


def _key(payload: dict[str, Any]) -> str:
    """What tells a command from others, whatever its times and its environment are."""
    return blake2b(f"{payload['command']}\0{payload['stdin']}\0{payload.get('user')}".encode(), digest_size=16).hexdigest()


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
    """Tell apart jobs of one name.

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
