"""`leveret bench`: how fast the product is, here and now."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

import typer


class Overlap(StrEnum):
    """Policies that leave every due job with a run, as the measurements need."""

    SKIP = "skip"
    QUEUE = "queue"
    ALLOW = "allow"


def bench(
    count: Annotated[int, typer.Option(min=100, help="Occurrences due in the same second, for the throughput.")] = 20_000,
    rate: Annotated[int, typer.Option(min=1, help="Occurrences a second, for the latency.")] = 500,
    seconds: Annotated[int, typer.Option(min=5, help="How long, for the latency.")] = 15,
    concurrency: Annotated[Overlap, typer.Option(help="Policy of the jobs.")] = Overlap.SKIP,
    force: Annotated[bool, typer.Option("--force", help="Also on a database that holds jobs.")] = False,
    json_output: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Measure throughput and latency of one API process and one worker process.

    On the services of LEVERET_DATABASE_URL, LEVERET_REDIS_URL and LEVERET_AMQP_URL; where one is not set, on a private server
    that is started for it and ended afterwards.
    """
    import asyncio
    import json
    import os

    from leveret.cli.bench.measure import LEAST, WARM_UP, Bench, measure
    from leveret.cli.local.private_servers import private_servers
    from leveret_core.errors import ConfigurationError
    from leveret_core.settings import load_settings

    if rate * (seconds - WARM_UP) < LEAST:
        message = f"--rate times (--seconds less {WARM_UP}) must be at least {LEAST}: fewer starts do not tell a latency"
        raise ConfigurationError(message)
    load_settings()  # what is wrong is told before servers are started
    with private_servers(os.environ) as environment:
        os.environ.update(environment)
        measured = asyncio.run(measure(load_settings(), Bench(count, rate, seconds, concurrency.value), force=force))
    if json_output:
        typer.echo(json.dumps(measured))
        return
    latency = measured["start_latency_ms"]
    assert isinstance(latency, dict)
    typer.echo(f"end to end      {measured['end_to_end_per_s']} occurrences/s ({count} due in the same second)")
    typer.echo(f"start latency   p50 {latency['p50']} ms, p99 {latency['p99']} ms at {rate} occurrences/s")
