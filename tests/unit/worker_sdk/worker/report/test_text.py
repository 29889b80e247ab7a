"""Text that is fit to be stored and shown."""

from __future__ import annotations

import msgspec
import pytest

from leveret.worker.report.text import clean


@pytest.mark.parametrize(
    ("text", "cleaned"),
    [
        ("plain\ttext\n", "plain\ttext\n"),
        ("\x1b[31mred\x1b[0m", "red"),
        ("\x1b]0;title\x07rest", "rest"),
        ("nul\x00 bell\x07 del\x7f c1\x9b", "nul bell del c1"),
        ("line\r\nnext\rlast", "line\nnextlast"),
        ("lone \ud800 half", "lone ? half"),
        ("žluťoučký 🐇", "žluťoučký 🐇"),
    ],
)
def test_control_characters_and_terminal_sequences_go_and_the_rest_stays(text: str, cleaned: str) -> None:
    assert clean(text, 100) == cleaned
    msgspec.json.encode(clean(text, 100))


def test_what_is_too_long_loses_its_middle() -> None:
    shortened = clean("a" * 50 + "b" * 50, 20)
    assert len(shortened) == 20
    assert shortened == "aaaaaaaaa…bbbbbbbbbb"
