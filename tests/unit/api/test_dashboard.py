"""How the dashboard's files are served."""

from __future__ import annotations

from pathlib import Path

import httpx
import pytest
from starlette.applications import Starlette

from leveret_api.dashboard import Dashboard

PAGE = {"accept": "text/html,application/xhtml+xml,*/*;q=0.8"}


@pytest.fixture
def built(tmp_path: Path) -> Path:
    folder = tmp_path / "static"
    (folder / "assets").mkdir(parents=True)
    (folder / "index.html").write_text("<title>dashboard</title>")
    (folder / "favicon.svg").write_text("<svg/>")
    (folder / "assets" / "index-3f9a.js").write_text("run()")
    (tmp_path / "secret.txt").write_text("hidden")
    return folder


def client(folder: Path) -> httpx.AsyncClient:
    app = Starlette()
    app.router.default = Dashboard(folder)
    return httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://leveret.test")


@pytest.mark.parametrize("path", ["/", "/jobs", "/jobs/17", "/occurrences/5", "/workers", "/jobs/daily.report"])
async def test_every_place_in_the_dashboard_is_its_one_page_and_never_cached(built: Path, path: str) -> None:
    async with client(built) as http:
        answer = await http.get(path, headers=PAGE)
        assert (answer.status_code, answer.text) == (200, "<title>dashboard</title>")
        assert answer.headers["cache-control"] == "no-cache"


async def test_files_named_by_their_content_are_kept_for_ever(built: Path) -> None:
    async with client(built) as http:
        script = await http.get("/assets/index-3f9a.js")
        assert (script.text, script.headers["cache-control"]) == ("run()", "public, max-age=31536000, immutable")
        assert script.headers["content-type"].startswith("text/javascript")
        icon = await http.get("/favicon.svg")
        assert (icon.text, icon.headers["cache-control"]) == ("<svg/>", "no-cache")


@pytest.mark.parametrize("path", ["/assets/index-old.js", "/logo.png", "/api/v1/nothing", "/api", "/docs/x", "/socket.io/x"])
async def test_what_is_no_place_is_not_found(built: Path, path: str) -> None:
    async with client(built) as http:
        assert (await http.get(path)).status_code == 404


async def test_an_old_script_is_not_found_even_when_a_browser_opens_it(built: Path) -> None:
    async with client(built) as http:
        assert (await http.get("/assets/index-old.js", headers=PAGE)).status_code == 404


@pytest.mark.parametrize(
    "path", ["/../secret.txt", "/%2e%2e/secret.txt", "/assets/..%2f..%2fsecret.txt", "//secret.txt", "/%00"]
)
async def test_nothing_outside_the_folder_is_served(built: Path, path: str) -> None:
    async with client(built) as http:
        answer = await http.get(path)
        assert "hidden" not in answer.text


async def test_only_reading_is_allowed(built: Path) -> None:
    async with client(built) as http:
        assert (await http.post("/jobs")).status_code == 404


async def test_a_dashboard_that_is_not_built_says_how_to_build_it(tmp_path: Path) -> None:
    async with client(tmp_path / "static") as http:
        answer = await http.get("/jobs", headers=PAGE)
        assert answer.status_code == 200
        assert "make dashboard" in answer.text
        assert (await http.get("/api/v1/nothing")).status_code == 404
