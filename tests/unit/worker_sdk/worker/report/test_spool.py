"""Messages on disk while the broker is away."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
import time
from pathlib import Path
from uuid import UUID

import pytest

from leveret.worker.report.disk_queue import DiskQueue
from leveret.worker.report.left_over import KEPT_FOR, left_over
from leveret.worker.report.outbox import Entry
from leveret.worker.report.spool import FRAME, HEADER, Spool
from leveret_core.messages import Finished

MANY = [b"message %d " % number * (number + 1) for number in range(20)]

LEAVER = """
import os, sys
from pathlib import Path
from leveret.worker.report.spool import Spool
spool = Spool(Path(sys.argv[1]), 10**6)
for number in range(3):
    assert spool.append(b"left %d" % number)
os.kill(os.getpid(), 9)
"""


def files(folder: Path) -> list[Path]:
    return sorted(folder.glob("*"))


def left(folder: Path) -> list[bytes]:
    with left_over(folder) as messages:
        return list(messages)


def leave(folder: Path) -> None:
    """What a killed process leaves."""
    assert subprocess.run([sys.executable, "-c", LEAVER, str(folder)]).returncode == -9


def test_messages_come_out_in_the_order_they_went_in_and_the_file_is_reused_from_its_beginning(tmp_path: Path) -> None:
    spool = Spool(tmp_path / "spool", 10_000)
    for _ in range(20):
        for message in MANY:
            assert spool.append(message)
        for message in MANY:
            assert spool.first() == message
            assert spool.first() == message, "it stays until it is confirmed"
            spool.drop_first()
        assert spool.empty
        assert spool.first() is None
    spool.close()
    assert files(tmp_path / "spool") == [], "nothing stays of one that is empty"


def test_nothing_is_on_disk_before_it_is_needed_and_then_for_this_user_alone(tmp_path: Path) -> None:
    folder = tmp_path / "a" / "spool"
    spool = Spool(folder, 1000)
    assert not folder.exists()
    spool.append(b"secret")
    (file,) = files(folder)
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700


def test_it_never_grows_past_its_limit(tmp_path: Path) -> None:
    spool = Spool(tmp_path, 1000)
    taken = 0
    while spool.append(b"x" * 90):
        taken += 1
    assert taken == 10
    assert os.path.getsize(files(tmp_path)[0]) <= 1000
    assert not spool.broken
    for _ in range(taken):
        spool.first()
        spool.drop_first()
    assert spool.append(b"x" * 90), "confirmed messages make room"


def test_what_a_killed_process_left_is_read_once(tmp_path: Path) -> None:
    leave(tmp_path)
    assert left(tmp_path) == [b"left 0", b"left 1", b"left 2"]
    assert files(tmp_path) == []
    assert left(tmp_path) == []


def test_what_a_living_process_has_is_its_own(tmp_path: Path) -> None:
    spool = Spool(tmp_path, 1000)
    spool.append(b"mine")
    assert left(tmp_path) == []
    assert spool.first() == b"mine"


def test_reading_that_is_given_up_half_way_leaves_the_file(tmp_path: Path) -> None:
    leave(tmp_path)
    with left_over(tmp_path) as messages:
        assert next(messages) == b"left 0"
        assert left(tmp_path) == [], "one process at a time"
    assert left(tmp_path) == [b"left 0", b"left 1", b"left 2"]


@pytest.mark.parametrize("cut", [1, 5, 8, 13])
def test_a_message_that_was_not_written_whole_ends_the_file(tmp_path: Path, cut: int) -> None:
    leave(tmp_path)
    (file,) = files(tmp_path)
    os.truncate(file, file.stat().st_size - cut)
    assert left(tmp_path) == [b"left 0", b"left 1"]


def damage(file: Path, message: bytes) -> None:
    content = bytearray(file.read_bytes())
    content[content.index(message)] ^= 1
    file.write_bytes(content)


def test_a_damaged_message_is_passed_over_and_costs_no_other(tmp_path: Path) -> None:
    leave(tmp_path)
    (file,) = files(tmp_path)
    damage(file, b"left 1")
    assert left(tmp_path) == [b"left 0", b"left 2"]


def test_nothing_after_a_length_that_cannot_be_is_trusted(tmp_path: Path) -> None:
    leave(tmp_path)
    (file,) = files(tmp_path)
    content = bytearray(file.read_bytes())
    content[content.index(b"left 1") - FRAME.size] = 0xFF
    file.write_bytes(content)
    assert left(tmp_path) == [b"left 0"]


async def test_the_ends_in_a_damaged_batch_are_given_up_and_the_others_are_confirmed(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    def end(occurrence: int) -> Entry:
        finished = Finished(occurrence=occurrence, attempt=1, token=str(UUID(int=1)), outcome="succeeded", seq=1, duration=0.0)
        return Entry(occurrence, str(UUID(int=2)), finished, 100)

    disk = DiskQueue(tmp_path, 100_000)
    for occurrence in (1111, 2222, 3333):
        assert await disk.append([end(occurrence)])
    damage(files(tmp_path)[0], b"1111")

    body = await disk.first()
    assert body is not None
    assert b"2222" in body
    assert [key[0] for key, _ in await disk.drop_first()] == [2222]
    assert await disk.first() is not None
    assert [key[0] for key, _ in await disk.drop_first()] == [3333]
    assert await disk.first() is None
    assert [key[0] for key, _ in disk.given_up()] == [1111]
    assert caplog.text.count("is damaged") == 1


def test_a_file_that_loses_its_content_is_told_and_used_again(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    spool = Spool(tmp_path, 1000)
    spool.append(b"one")
    spool.append(b"two")
    os.truncate(files(tmp_path)[0], len(HEADER) + 5)
    assert spool.first() is None
    assert "is damaged; 22 bytes of events are lost" in caplog.text
    assert spool.empty
    assert spool.append(b"three")
    assert spool.first() == b"three"


def test_what_is_no_spool_is_not_sent(tmp_path: Path) -> None:
    (tmp_path / "1-x.spool").write_bytes(b"something else altogether")
    (tmp_path / "2-x.spool").write_bytes(HEADER + b"\xff" * 100)
    assert left(tmp_path) == []


def test_what_is_too_old_for_any_lease_is_deleted_unread(tmp_path: Path) -> None:
    leave(tmp_path)
    (file,) = files(tmp_path)
    past = time.time() - KEPT_FOR - 1
    os.utime(file, (past, past))
    assert left(tmp_path) == []
    assert files(tmp_path) == []


def test_a_link_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    leave(tmp_path / "elsewhere")
    (real,) = files(tmp_path / "elsewhere")
    (tmp_path / "spool").mkdir()
    (tmp_path / "spool" / "1-x.spool").symlink_to(real)
    os.link(real, tmp_path / "spool" / "2-x.spool")
    assert left(tmp_path / "spool") == []
    assert real.exists()


def test_a_disk_that_refuses_is_told_once_and_tried_again(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    folder = tmp_path / "spool"
    folder.write_text("a file is in the way")
    spool = Spool(folder, 1000)
    assert [spool.append(b"x") for _ in range(3)] == [False] * 3
    assert caplog.text.count("cannot be kept on disk") == 1
    assert spool.broken
    folder.unlink()
    assert spool.append(b"x")
    assert not spool.broken
