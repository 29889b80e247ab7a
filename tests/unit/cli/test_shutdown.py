"""The end of a server process, with tasks that would not end."""

from __future__ import annotations

import asyncio
import subprocess
import sys

SCRIPT = """
import asyncio
from leveret.cli.processes import shutdown

shutdown.LAST_TASKS = 0.2

async def lost() -> None:
    while True:
        try:
            await asyncio.sleep(3600)
        except asyncio.CancelledError:
            pass

async def main(stopping: asyncio.Event) -> None:
    asyncio.create_task(lost(), name="the lost one")
    await asyncio.sleep(0)

shutdown.run(main)
"""


async def test_a_task_that_swallows_its_cancellation_does_not_keep_the_process() -> None:
    process = await asyncio.create_subprocess_exec(sys.executable, "-c", SCRIPT, stderr=subprocess.PIPE)
    _, err = await asyncio.wait_for(process.communicate(), 30)
    assert process.returncode == 70
    assert b"the lost one has not ended" in err
