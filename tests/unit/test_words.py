"""One word for one thing: what the glossary of ARCHITECTURE.md calls by one name has no other in code and comments."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
FOLDERS = ("worker_sdk", "dispatcher")
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
    r"strangers?": "others",
    r"somebody|nobody|anybody|whoever": "the component's name",
}
# Words that users read already or that are not ours.
ALLOWED = re.compile(r'or gave way to newer ones|_USER = "nobody"|settings\.ring_timeout|"ring", "unrung"')
WORD = re.compile(rf"(?<![A-Za-z])(?:{'|'.join(REPLACED)})(?![A-Za-z])", re.IGNORECASE)


@pytest.mark.parametrize("folder", FOLDERS)
def test_words_that_were_replaced_do_not_come_back(folder: str) -> None:
    found = [
        f"{path.relative_to(ROOT)}:{number}: {match[0]!r}"
        for path in sorted((ROOT / folder).rglob("*.py"))
        for number, line in enumerate(path.read_text().splitlines(), 1)
        for match in WORD.finditer(ALLOWED.sub("", line))
    ]
    assert found == [], "see the glossary of ARCHITECTURE.md"
    assert WORD.search("# nobody rings the doorbell")
