"""One word for one thing: what the glossary of ARCHITECTURE.md calls by one name has no other in code, SQL and docs."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PLACES = (
    "worker_sdk",
    "dispatcher",
    "shared",
    "api/leveret_api",
    "api/dashboard/src",
    "tests",
    "tests/support",
    "deploy",
    "docs",
    "ARCHITECTURE.md",
    "README.md",
    "CONTRIBUTING.md",
)
KINDS = frozenset({".py", ".sql", ".md", ".yaml", ".yml", ".json", ".ts", ".tsx", ".css"})
# What is applied already stays as it is; what is built is not ours.
LEFT_OUT = frozenset({"migrations", "static"})
REPLACED = {
    r"doorbells?": "dispatch message",
    r"(?:un|re)?r(?:ings?|ung|ang|inging)": "publish, published",
    r"promot(?:e|es|ed|er|ion|ing)": "admit",
    r"lanes?": "handler slots",
    r"(?:set|sets|setting)[ _]aside": "pause, quarantine or reject",
    r"(?:put|puts|putting)[ _]off": "defer",
    r"adopt(?:s|ed|ing)?": "take over, register",
    r"(?:give|gives|gave)[ _]way": "what it does",
    r"(?:step|steps|stepped)[ _]aside": "what it does",
    r"(?:in|the|a|each|own)[ _]line\b(?= of (?:a|its|the) (?:job|key))": "concurrency queue",
    r"(?:next|first|stands?|waits?|places?) in (?:a |the )?line": "concurrency queue, rate limit queue",
    r"strangers?": "others",
}
PEOPLE = r"somebody|nobody|anybody|whoever"
"""The component's name, or the user. The tests may tell their stories with them."""
# Words that users read already, names in the database and on the wire, and what is not ours.
ALLOWED = re.compile(
    r"""or\ gave\ way\ to\ newer\ ones | "nobody" | \bas_nobody\b | (?i:(?:settings\.|leveret_|\b)ring_timeout)
    | \bring_at\b | \brings\b(?=[ ,)"]|$) | occurrence_(?:un)?rung | \brate_line\b
    | ["`](?:un)?rung["`] | \brung(?=:\ (?:bool|true)|\ *,$) | 0006_put_off | ["'`]ring["'`] | ["`]adopted["`]""",
    re.VERBOSE,
)
TERM = re.compile(rf"(?<![A-Za-z])(?:{'|'.join(REPLACED)})(?![A-Za-z])", re.IGNORECASE)
WORD = re.compile(rf"(?<![A-Za-z])(?:{'|'.join((*REPLACED, PEOPLE))})(?![A-Za-z])", re.IGNORECASE)


@pytest.mark.parametrize("place", PLACES)
def test_words_that_were_replaced_do_not_come_back(place: str) -> None:
    files = [ROOT / place] if (ROOT / place).is_file() else sorted((ROOT / place).rglob("*"))
    found = [
        f"{path.relative_to(ROOT)}:{number}: {match[0]!r}"
        for path in files
        if path.suffix in KINDS and path.is_file() and path != Path(__file__) and not LEFT_OUT & set(path.parts)
        for number, line in enumerate(path.read_text().splitlines(), 1)
        for match in (TERM if place == "tests" else WORD).finditer(ALLOWED.sub("", line))
    ]
    assert found == [], "see the glossary of ARCHITECTURE.md"
    assert files
    assert WORD.search(ALLOWED.sub("", "# nobody rings the doorbell"))
