"""The REST API for programs: `async with Client() as client: await client.trigger("digest")`.

Needs httpx, which `pip install 'leveret[server]'` brings along.
"""

from __future__ import annotations

from leveret.client.async_client import Client
from leveret.client.results import Backfill, Job, Occurrence
from leveret.client.triggers import TriggerItem

__all__ = ["Backfill", "Client", "Job", "Occurrence", "TriggerItem"]
