"""Jobs written down in files and modules."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from leveret.cli.definitions import load_definitions
from leveret_core.errors import ConfigurationError, InvalidInput
from leveret_core.job_definition import define
from support.command_line import command

JOB = {"name": "nightly", "type": "report.daily", "trigger": {"kind": "cron", "expression": "0 2 * * *"}}


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])
    return tmp_path


def test_a_json_file_is_a_list_or_an_object_with_jobs(folder: Path) -> None:
    (folder / "list.json").write_text(json.dumps([JOB]))
    (folder / "object.json").write_text(json.dumps({"jobs": [JOB]}))

    assert load_definitions("list.json") == load_definitions("object.json") == [JOB]


def test_a_toml_file_has_a_table_for_each_job(folder: Path) -> None:
    (folder / "jobs.toml").write_text(
        '[[jobs]]\nname = "nightly"\ntype = "report.daily"\ntrigger = { kind = "cron", expression = "0 2 * * *" }\n'
    )

    assert load_definitions("jobs.toml") == [JOB]


def test_dates_of_a_toml_file_are_written_as_iso_8601(folder: Path) -> None:
    (folder / "jobs.toml").write_text(
        '[[jobs]]\nname = "once"\ntype = "x"\n[jobs.trigger]\nkind = "once"\nat = 2026-12-01T09:00:00Z\n'
        "[jobs.payload]\ndays = [2026-12-24, 2026-12-25]\nat = 07:30:00\n"
    )

    (job,) = load_definitions("jobs.toml")

    assert job["trigger"]["at"] == "2026-12-01T09:00:00+00:00"
    assert job["payload"] == {"days": ["2026-12-24", "2026-12-25"], "at": "07:30:00"}


def test_a_module_has_a_list(folder: Path) -> None:
    (folder / "written_jobs.py").write_text(f"JOBS = {[JOB]!r}\n")

    assert load_definitions("written_jobs") == [JOB]


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("absent.json", None, "cannot read absent.json"),
        ("absent_module", None, "no file or module 'absent_module'"),
        ("broken.json", "{", "broken.json is not JSON"),
        ("broken.toml", "=", "broken.toml is not TOML"),
        ("other.json", '{"things": []}', "holds no list of job definitions"),
        ("deep.json", "[" * 100_000, "deep.json is nested too deep"),
    ],
)
def test_what_holds_no_definitions_is_named(folder: Path, name: str, text: str | None, message: str) -> None:
    if text is not None:
        (folder / name).write_text(text)

    with pytest.raises(ConfigurationError, match=message):
        load_definitions(name)


def test_a_definition_without_a_name_is_named_by_its_place(folder: Path) -> None:
    (folder / "jobs.json").write_text(json.dumps([JOB, {"type": "a.b"}]))

    with pytest.raises(InvalidInput, match=r"jobs.json\[1\]: must be an object with a name"):
        load_definitions("jobs.json")


def test_the_examples_jobs_are_valid() -> None:
    definitions = [define(each) for each in load_definitions("examples.app")]

    assert [each.name for each in definitions] == ["digest-mail", "new-year-mail", "activity-report", "customer-migration"]


def test_a_crontab_is_previewed_without_a_server(folder: Path) -> None:
    (folder / "tab").write_text("MAILTO=ann\n30 4 * * 1 /usr/local/bin/backup --all\n61 * * * * oops\n")

    done = command("jobs", "import", "crontab", "tab", "--tz", "Europe/Berlin", "--check", "--json")

    assert done.code == 1, "an entry was left out"
    (job,) = done.json()
    assert job["trigger"] == {"kind": "cron", "expression": "30 4 * * 1", "timezone": "Europe/Berlin"}
    assert job["payload"]["command"] == "/usr/local/bin/backup --all"
    assert "tab:1: note: MAILTO" in done.err
    assert "tab:3: " in done.err


def test_a_line_of_a_crontab_that_is_not_utf_8_is_left_out_and_named(folder: Path) -> None:
    (folder / "tab").write_bytes(b"# caf\xe9\n@daily echo \xff\xfe\n# caf\xe9\n@daily echo fine\n")

    done = command("jobs", "import", "crontab", "tab", "--check", "--json")

    assert done.code == 1
    (job,) = done.json()
    assert (job["payload"]["command"], job["description"]) == ("echo fine", "caf\ufffd")
    assert "tab:2: has control characters or is not UTF-8" in done.err


def test_a_crontab_without_mistakes_is_imported_with_exit_code_0(folder: Path) -> None:
    (folder / "tab").write_text("# the mail\n@daily root /usr/bin/sendmail -q\n")

    done = command("jobs", "import", "crontab", "tab", "--system", "--check")

    assert done.code == 0
    assert "/usr/bin/sendmail -q" in done.out
    assert "--tz" in done.err, "whose zone it is read in is said when the user named none"


def test_a_crontab_that_is_not_there_is_said() -> None:
    done = command("jobs", "import", "crontab", "/nowhere/tab", "--check")

    assert done.code == 2
    assert "cannot read /nowhere/tab" in done.err
