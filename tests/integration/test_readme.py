"""The README's own words, run."""

from __future__ import annotations

import asyncio
import re
import sys
from pathlib import Path
from typing import Any

import httpx

from support.eventually import eventually
from support.ports import free_port
from support.processes import StartLeveret

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text()
PYTHON = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
SHELL = re.findall(r"```bash\n(.*?)```", README, re.DOTALL)


async def test_the_twenty_lines_run_under_leveret_dev_and_the_job_can_be_made_and_triggered(
    start_leveret: StartLeveret, tmp_path: Path
) -> None:
    (code,) = PYTHON
    (tmp_path / "jobs.py").write_text(code)
    (curl,) = [block for block in SHELL if "curl" in block]
    port = free_port()
    process = start_leveret("dev", "jobs", "--port", str(port), "--no-browser", cwd=tmp_path)

    def up() -> None:
        assert process.returncode is None, process.output()
        assert f"Dashboard: http://127.0.0.1:{port}" in process.output()

    await eventually(up, timeout=90, interval=0.1)
    script = curl.replace(":8080", f":{port}").replace("curl -s", "curl -sf")
    shell = await asyncio.create_subprocess_exec(
        "bash",
        "-euo",
        "pipefail",
        "-c",
        script,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env={"PATH": f"{Path(sys.executable).parent}:/usr/bin:/bin"},
    )
    out, error = await asyncio.wait_for(shell.communicate(), 60)
    assert shell.returncode == 0, f"{script}\n{out.decode()}{error.decode()}"
    assert "2026-03-29" in out.decode()

    async def mailed() -> None:
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}/api/v1") as client:
            page: dict[str, Any] = (await client.get("/occurrences", params={"job": "morning-mail"})).json()
            (occurrence,) = page["items"]
            assert occurrence["state"] == "succeeded"
            shown = (await client.get(f"/occurrences/{occurrence['id']}")).json()
        assert shown["result"] == {"sent_to": "ada@example.com"}

    await eventually(mailed, timeout=20, interval=0.1)


def test_every_page_that_is_linked_is_there() -> None:
    links = re.findall(r"\]\((?!http)([^)#]+)\)", README)
    assert links
    assert [link for link in links if not (ROOT / link).exists()] == []


def test_every_make_target_that_is_named_is_there() -> None:
    makefile = (ROOT / "Makefile").read_text()
    for target in set(re.findall(r"`?make ([a-z-]+)", README)):
        assert re.search(rf"^{target}:", makefile, re.MULTILINE), target
