"""The examples of docs/api.md do what they say."""

from __future__ import annotations

import asyncio
import re
import shutil
from pathlib import Path

import pytest

from leveret_api.app import create_app
from leveret_api.server import serve
from leveret_api.services import Services
from leveret_core.hints import Hints
from leveret_core.settings import Settings
from leveret_core.store.database import Database
from support.api import Listening

DOCS = Path(__file__).parents[2] / "docs/api.md"
EXAMPLES = re.findall(r"```bash\n(.*?)```", DOCS.read_text(), re.DOTALL)


async def test_every_example_runs_in_order(database_url: str) -> None:
    if shutil.which("curl") is None:
        pytest.skip("no curl (apt-get install curl)")
    database = Database(database_url)
    await database.start()
    services = Services(Settings(database_url=database_url), database, Listening(), Hints(None), redis=None)
    ready: asyncio.Queue[str] = asyncio.Queue()
    serving = asyncio.create_task(serve(create_app(services), "127.0.0.1", 0, ready=ready.put_nowait))
    url = await asyncio.wait_for(ready.get(), 10)
    answers: list[str] = []
    for example in EXAMPLES:
        script = example.replace("http://127.0.0.1:8080", url)
        shell = await asyncio.create_subprocess_exec(
            "bash", "-euo", "pipefail", "-c", script, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
        )
        out, error = await asyncio.wait_for(shell.communicate(), 30)
        assert shell.returncode == 0, f"{script}\n{error.decode()}"
        answers.append(out.decode())
        # The only example of an error is the one about errors.
        assert ("urn:leveret:" in answers[-1]) == ('"typ"' in example), f"{script}\n{answers[-1]}"
    told = "\n".join(answers)
    for expected in (
        '"utc":"2026-03-29T01:00:00Z"',
        '"reason":"not today"',
        '"requeue_of":',
        '"max_attempts":5',
        "leveret_jobs{",
    ):
        assert expected in told
    serving.cancel()
    await asyncio.gather(serving, return_exceptions=True)
    await database.stop()
