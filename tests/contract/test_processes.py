"""The `leveret` command as tests start it."""

from __future__ import annotations

from pathlib import Path

from support.processes import StartLeveret
from support.trees import alive, family


def test_a_command_runs_to_its_end_and_its_words_can_be_read(start_leveret: StartLeveret) -> None:
    process = start_leveret("version")
    assert process.wait() == 0
    assert "0.1" in process.output()


def test_the_shell_of_the_developer_does_not_reach_a_command(start_leveret: StartLeveret, tmp_path: Path) -> None:
    process = start_leveret("doctor", env={"LEVERET_DATABASE_URL": "mysql://nowhere"}, cwd=tmp_path)
    assert process.wait() != 0
    assert "LEVERET_DATABASE_URL: must start with postgresql://" in process.output()


def test_a_killed_command_leaves_no_process(start_leveret: StartLeveret, tmp_path: Path) -> None:
    process = start_leveret("worker", "examples.app", env={"LEVERET_AMQP_URL": "amqp://127.0.0.1:1/"}, cwd=tmp_path)
    members = family(process.pid)
    assert members
    process.kill()
    assert [member for member in members if alive(member)] == []
    assert process.returncode == -9
