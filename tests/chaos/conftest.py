from __future__ import annotations

from collections.abc import AsyncGenerator
from pathlib import Path

import pytest

from chaos.cluster import Cluster, StartLeveret
from support.liveness import assert_everything_owned


@pytest.fixture
async def cluster(
    start_leveret: StartLeveret, database_url: str, redis_url: str, amqp_url: str, tmp_path: Path
) -> AsyncGenerator[Cluster]:
    """Replicas and workers to be started on the shared servers, in a database and virtual host of their own. In the end what
    is not over has somebody who is responsible for it."""
    made = Cluster(start_leveret, database_url, redis_url, amqp_url, tmp_path)
    yield made
    await assert_everything_owned(made.database_url)
