"""`leveret bench`: how fast the product is, here and now."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from leveret.cli.bench.measure import Measured


class Overlap(StrEnum):
    """Policies that leave every due job with a run, as the measurements need."""

    SKIP = "skip"
    QUEUE = "queue"
    ALLOW = "allow"


def bench(
    count: Annotated[
        int | None,
        typer.Option(min=100, help="Occurrences due in the same second; default: as many as tell a throughput."),
    ] = None,
    rate: Annotated[int, typer.Option(min=1, help="Occurrences a second, for the latency.")] = 500,
    seconds: Annotated[int, typer.Option(min=5, help="How long, for the latency.")] = 15,
    concurrency: Annotated[Overlap, typer.Option(help="Policy of the jobs.")] = Overlap.SKIP,
    workers: Annotated[str, typer.Option(help="Worker processes; several numbers are measured one after the other.")] = "1",
    handler: Annotated[str, typer.Option(help="What runs: noop, insert (a row), or a sleep such as sleep:100ms.")] = "noop",
    slots: Annotated[int | None, typer.Option(min=1, max=10_000, help="Attempts that a worker runs at once.")] = None,
    force: Annotated[bool, typer.Option("--force", help="Also on a database that holds jobs.")] = False,
    json_output: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Measure throughput, CPU time and latency of one API process and of worker processes.

    On the services of LEVERET_DATABASE_URL, LEVERET_REDIS_URL and LEVERET_AMQP_URL; where one is not set, on a private server
    that is started for it and ended afterwards. What cannot be measured is said on stderr, and the exit code is 1.
    """
    import asyncio
    import json
    import os

    from leveret.cli.bench.measure import LEAST, WARM_UP, Bench, measure
    from leveret.cli.bench.work import read_counts, read_work
    from leveret.cli.local.private_servers import private_servers
    from leveret_core.errors import ConfigurationError
    from leveret_core.settings import load_settings

    if rate * (seconds - WARM_UP) < LEAST:
        message = f"--rate times (--seconds less {WARM_UP}) must be at least {LEAST}: fewer starts do not tell a latency"
        raise ConfigurationError(message)
    wanted = Bench(count, rate, seconds, concurrency.value, read_work(handler), read_counts(workers), slots)
    load_settings()  # what is wrong is told before servers are started
    with private_servers(os.environ) as environment:
        os.environ.update(environment)
        measured = asyncio.run(measure(load_settings(), wanted, force=force))
    if json_output:
        typer.echo(json.dumps(measured.as_json()))
    else:
        _print(measured)
    for problem in measured.problems:
        typer.echo(f"not measured: {problem}", err=True)
    if measured.problems:
        raise typer.Exit(1)


def _print(measured: Measured) -> None:
    for run in measured.runs:
        workers = f"{run.workers} worker{'s' * (run.workers > 1)}, {run.slots} slots"
        typer.echo(f"end to end      {round(run.per_s)} occurrences/s ({run.count} of {run.handler} at once; {workers})")
        if run.cpu_us:
            shares = ", ".join(f"{kind} {used}" for kind, used in run.cpu_us.items())
            typer.echo(f"  CPU           {sum(run.cpu_us.values())} µs each: {shares}")
        else:
            typer.echo("  CPU           not measured: pip install psutil")
    if (latency := measured.start_latency) is not None:
        rate = latency["rate_per_s"]
        typer.echo(f"start latency   p50 {latency['p50']} ms, p99 {latency['p99']} ms at {rate} occurrences/s")
