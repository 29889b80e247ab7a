"""Logs of server processes."""

from __future__ import annotations

import json
import logging
import sys

import pytest

from leveret.cli.log_format import ConsoleFormatter, JsonFormatter, configure


def record(message: str, *args: object, **extra: object) -> logging.LogRecord:
    made = logging.makeLogRecord(
        {"name": "leveret.x", "levelno": logging.WARNING, "levelname": "WARNING", "msg": message, **extra}
    )
    made.args = args
    made.created = 1_767_225_600.25
    return made


def failure() -> logging.LogRecord:
    try:
        raise ValueError("no\nway")
    except ValueError:
        return record("it broke", exc_info=sys.exc_info())


def test_json_is_one_object_a_line_with_the_records_fields() -> None:
    line = JsonFormatter().format(record("took %d\n lines", 3, epoch=4, at="not this one"))

    assert "\n" not in line
    assert json.loads(line) == {
        "at": "2026-01-01T00:00:00.250Z",
        "level": "warning",
        "logger": "leveret.x",
        "message": "took 3\n lines",
        "epoch": 4,
    }


def test_json_holds_the_traceback_and_whatever_cannot_be_json_as_text() -> None:
    made = failure()
    made.what = object

    entry = json.loads(JsonFormatter().format(made))

    assert "ValueError: no\nway" in entry["traceback"]
    assert entry["what"] == "<class 'object'>"


def test_the_console_gets_one_line_its_fields_and_the_traceback_below() -> None:
    formatter = ConsoleFormatter(colors=False)

    assert formatter.format(record("hello", epoch=4)) == "00:00:00.250 WARNING leveret.x: hello  epoch=4"
    assert formatter.format(failure()).splitlines()[1] == "Traceback (most recent call last):"


def test_the_console_cannot_be_steered_by_what_is_logged() -> None:
    assert "\x1b" not in ConsoleFormatter(colors=False).format(record("%s", "\x1b[2J"))
    assert ConsoleFormatter(colors=True).format(record("%s", "\x1b[2J")).count("\x1b") == 2, "the colour's own, on and off"


def test_configuring_twice_logs_once(capsys: pytest.CaptureFixture[str]) -> None:
    root = logging.getLogger()
    before, level = list(root.handlers), root.level
    try:
        configure("debug", "console")
        configure("info", "json")
        logging.getLogger("leveret.test").info("hello")
        logging.getLogger("leveret.test").debug("too quiet")
    finally:
        root.handlers[:] = before
        root.setLevel(level)

    captured = capsys.readouterr()
    assert captured.out == ""
    assert [json.loads(line)["message"] for line in captured.err.splitlines()] == ["hello"]
