"""Environment variables that nothing reads: a name with a slip in it is a setting that does not hold."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from leveret_core.job_rules import suggestion

PREFIX = "LEVERET_"
OTHERS = frozenset(
    {
        # Of workers and clients.
        "LEVERET_URL",
        "LEVERET_WORKER_NAME",
        "LEVERET_CONCURRENCY",
        "LEVERET_PROCESSES",
        "LEVERET_MAX_MEMORY",
        "LEVERET_MAX_OCCURRENCES",
        "LEVERET_GRACE",
        "LEVERET_CAPTURE_PRINT",
        "LEVERET_REDACT",
        "LEVERET_SPOOL_DIR",
        "LEVERET_SPOOL_SIZE",
        # Between our own processes, of the examples, and of tests.
        "LEVERET_SUPERVISOR_FD",
        "LEVERET_EXAMPLE_SHELL",
        "LEVERET_FAILPOINTS",
        "LEVERET_FAILPOINTS_ALLOWED",
        "LEVERET_EXHAUSTIVE",
    }
)
"""Variables that are not settings of servers."""


def unknown_variables(names: Iterable[str], settings: Iterable[str]) -> Iterator[tuple[str, str]]:
    """The variables that begin like ours and that nothing reads, each with words that tell which one may be meant.

    Args:
        names: of all variables.
        settings: fields of the settings of servers.
    """
    known = OTHERS | {PREFIX + field.upper() for field in settings}
    for name in sorted(names):
        if name.startswith(PREFIX) and name not in known:
            # Without the prefix, which makes all of them look alike.
            hint = suggestion(name.removeprefix(PREFIX), [each.removeprefix(PREFIX) for each in known])
            yield name, hint.replace("did you mean ", f"did you mean {PREFIX}")
