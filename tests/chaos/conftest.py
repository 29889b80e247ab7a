from __future__ import annotations

from pathlib import Path

import pytest

from chaos.cluster import Cluster, StartLeveret


@pytest.fixture
def cluster(start_leveret: StartLeveret, database_url: str, redis_url: str, amqp_url: str, tmp_path: Path) -> Cluster:
    """Replicas and workers to be started on the shared servers, in a database and virtual host of their own."""
    return Cluster(start_leveret, database_url, redis_url, amqp_url, tmp_path)
