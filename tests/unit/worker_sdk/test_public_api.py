"""What `import leveret` gives, and what it must not bring along."""

from __future__ import annotations

import json
import re
import subprocess
import sys

import leveret

SERVER_LIBRARIES = {
    "apscheduler",
    "asyncpg",
    "cronsim",
    "fastapi",
    "leveret_api",
    "leveret_dispatcher",
    "pydantic",
    "redis",
    "socketio",
    "starlette",
    "uvicorn",
}


def in_a_fresh_process(code: str) -> str:
    return subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True, timeout=60).stdout


def test_the_public_names_are_these_and_sorted() -> None:
    assert leveret.__all__ == [
        "BrokerError",
        "BrokerUnavailable",
        "Cancel",
        "ConfigurationError",
        "Fail",
        "Handler",
        "InvalidInput",
        "JobContext",
        "LeveretError",
        "LifespanError",
        "NoJobRunning",
        "Registry",
        "Retry",
        "Skip",
        "Snooze",
        "WrongPayload",
        "current",
        "job",
        "lifespan",
    ]
    assert leveret.__all__ == sorted(leveret.__all__)
    assert all(hasattr(leveret, name) for name in leveret.__all__)


def test_importing_the_sdk_and_the_worker_brings_no_server_library() -> None:
    code = "import sys, json, leveret, leveret.testing, leveret.worker, leveret_core.broker.rabbitmq_worker\n"
    loaded = json.loads(in_a_fresh_process(code + "print(json.dumps(sorted(sys.modules)))"))
    assert SERVER_LIBRARIES.isdisjoint({name.partition(".")[0] for name in loaded})


def test_importing_the_sdk_alone_does_not_load_the_worker() -> None:
    loaded = json.loads(in_a_fresh_process("import sys, json, leveret\nprint(json.dumps(sorted(sys.modules)))"))
    assert "leveret.worker" not in loaded
    assert "aiormq" not in loaded
    assert "typer" not in loaded


def test_a_worker_with_its_broker_library_loaded_takes_less_than_60_mb() -> None:
    code = "import leveret.worker, leveret_core.broker.rabbitmq_worker\nprint(open('/proc/self/status').read())"
    size = re.search(r"VmRSS:\s+(\d+) kB", in_a_fresh_process(code))
    assert size is not None
    assert int(size[1]) < 60 * 1024
