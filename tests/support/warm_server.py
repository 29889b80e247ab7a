"""The process that forks those of `support.warm`: it has imported what they need, has one thread, and runs nothing itself.

It reads requests from the socket whose number is its first argument; the others are the modules to import. A request is JSON
with four files: stdin, stdout and stderr of the new process, and a pipe for two answers, its process id and then how it ended.
"""

from __future__ import annotations

import gc
import importlib
import json
import os
import runpy
import select
import signal
import socket
import struct
import sys
import threading
import time
import warnings
from types import FrameType
from typing import Any

NUMBER = struct.Struct("=i")
LONGEST = 200_000
"""Bytes of a request."""

Request = tuple[dict[str, Any], list[int]]


def _wake(_number: int, _frame: FrameType | None) -> None:
    """Nothing; with a handler of Python's own, a signal is written to the file that was named for it."""


def serve(asked: socket.socket) -> Request | None:
    """Fork for each request. Returns it in the new process, and None in this one when no test can ask any more."""
    waiting: dict[int, int] = {}
    noticed, notice = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
    signal.set_wakeup_fd(notice, warn_on_full_buffer=False)
    signal.signal(signal.SIGCHLD, _wake)
    sources: list[socket.socket | int] = [asked, noticed]
    while True:
        ready, _, _ = select.select(sources, [], [])
        if noticed in ready:
            os.read(noticed, 4096)
            _reap(waiting)
        if asked not in ready:
            continue
        message, files, _, _ = socket.recv_fds(asked, LONGEST, 4)
        if not message:
            return None
        assert threading.active_count() == 1
        pid = os.fork()
        if pid == 0:
            signal.set_wakeup_fd(-1)
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            for other in (noticed, notice, *waiting.values()):
                os.close(other)
            asked.close()
            return json.loads(message), files
        for file in files[:3]:
            os.close(file)
        waiting[pid] = files[3]


def _reap(waiting: dict[int, int]) -> None:
    while waiting:
        pid, status = os.waitpid(-1, os.WNOHANG)
        if pid == 0:
            return
        answer = waiting.pop(pid)
        try:
            os.write(answer, NUMBER.pack(os.waitstatus_to_exitcode(status)))
        except BrokenPipeError:
            pass
        finally:
            os.close(answer)


def become(request: dict[str, Any], files: list[int], path: list[str]) -> None:
    """Make this process what `python -m leveret` would be when it begins.

    Arguments:
        request: its words, its environment and its folder.
        files: stdin, stdout, stderr, and where to say its process id.
        path: where modules are looked for, after its folder and its PYTHONPATH.
    """
    os.setsid()
    for number, file in enumerate(files[:3]):
        os.dup2(file, number)
        os.close(file)
    os.environ.clear()
    os.environ.update(request["env"])
    time.tzset()
    os.chdir(request["cwd"])
    own = filter(None, os.environ.get("PYTHONPATH", "").split(os.pathsep))
    sys.path[:] = [os.getcwd(), *(os.path.abspath(folder) for folder in own), *path]
    importlib.invalidate_caches()
    sys.argv[:] = ["leveret", *request["args"]]
    sys.orig_argv[:] = [sys.executable, "-m", "leveret", *request["args"]]
    unbuffered = bool(os.environ.get("PYTHONUNBUFFERED"))
    for stream in (sys.stdout, sys.stderr):
        lines = not unbuffered and (stream is sys.stderr or os.isatty(1))
        stream.reconfigure(line_buffering=lines, write_through=unbuffered)  # type: ignore[union-attr]
    sys.dont_write_bytecode = bool(os.environ.get("PYTHONDONTWRITEBYTECODE"))
    if os.environ.get("LEVERET_FAILPOINTS"):
        # It reads this variable when it is imported.
        importlib.reload(importlib.import_module("leveret_core.failpoints"))
    os.write(files[3], NUMBER.pack(os.getpid()))
    os.close(files[3])


def main() -> None:
    """Import, wait for requests, and in each new process run the command."""
    # The folder of this file comes first, which is no place for modules.
    del sys.path[0]
    path = list(sys.path)
    number, *modules = sys.argv[1:]
    with warnings.catch_warnings():
        for module in modules:
            importlib.import_module(module)
    gc.collect()
    gc.freeze()
    request = serve(socket.socket(fileno=int(number)))
    if request is not None:
        become(*request, path)
        # As the last thing and uncaught: the interpreter itself makes an exit code of how this ends.
        runpy.run_module("leveret", run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main()
