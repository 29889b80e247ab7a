"""The built dashboard: files, and its one page for every address that is a place within it."""

from __future__ import annotations

from html import escape
from pathlib import Path
from stat import S_ISREG

from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.responses import HTMLResponse, Response
from starlette.staticfiles import StaticFiles
from starlette.types import Receive, Scope, Send

from leveret_api.plain import page

STATIC = Path(__file__).parent / "static"
"""Where the build puts it."""
FOR_EVER = "public, max-age=31536000, immutable"
"""For files whose names hold a hash of their content."""
ASK_AGAIN = "no-cache"
_BASE_PATH = '<meta name="leveret-base-path" content="" />'
_NOT_PAGES = ("/api", "/assets", "/socket.io", "/livez", "/readyz", "/metrics", "/docs", "/openapi.json")


class Dashboard:
    """Answers what no route answers: a file of the dashboard, its page, or 404.

    Args:
        folder: with `index.html` and `assets/`; looked at anew for each request, so that a build needs no restart.
        base_path: what the addresses of a browser begin with, such as `/leveret`; empty for none.
    """

    def __init__(self, folder: Path = STATIC, base_path: str = "") -> None:
        self._folder = folder
        self._base_path = base_path
        self._files = StaticFiles(directory=folder, check_dir=False)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """ASGI, for http and websocket."""
        if scope["type"] != "http":
            await send({"type": "websocket.close", "code": 1000})
            return
        response = await self._answer(scope)
        await response(scope, receive, send)

    async def _answer(self, scope: Scope) -> Response:
        path: str = scope["path"]
        if scope["method"] not in ("GET", "HEAD"):
            raise HTTPException(404, f"there is nothing at {path}")
        if "\x00" not in path and path != "/":
            _, found = self._files.lookup_path(path.lstrip("/"))
            if found is not None and S_ISREG(found.st_mode):
                response = await self._files.get_response(path.lstrip("/"), scope)
                response.headers["Cache-Control"] = FOR_EVER if path.startswith("/assets/") else ASK_AGAIN
                return response
        if any(path == prefix or path.startswith(prefix + "/") for prefix in _NOT_PAGES):
            raise HTTPException(404, f"there is nothing at {path}")
        if Path(path).suffix and "text/html" not in Headers(scope=scope).get("accept", ""):
            # A script or picture that is not there, not a place in the dashboard.
            raise HTTPException(404, f"there is nothing at {path}")
        page = self._page()
        return _not_built(self._base_path) if page is None else HTMLResponse(page, headers={"Cache-Control": ASK_AGAIN})

    def _page(self) -> str | None:
        """The built page, which names its files relative to where it is served; None when there is none."""
        try:
            built = (self._folder / "index.html").read_text(encoding="utf-8")
        except FileNotFoundError:
            return None
        base = escape(self._base_path, quote=True)
        return built.replace('="./', f'="{base}/').replace(_BASE_PATH, _BASE_PATH.replace('""', f'"{base}"'))


def _not_built(base_path: str) -> Response:
    return HTMLResponse(
        page(
            "Leveret",
            "<p>The API runs; its dashboard has not been built.</p>"
            "<p>In a checkout, run <code>make dashboard</code> and reload this page. An installed package has it inside.</p>"
            f'<p>Meanwhile: <a href="{base_path}/docs">the API</a>, <a href="{base_path}/readyz">health</a>, '
            f'<a href="{base_path}/metrics">metrics</a>.</p>',
            base_path,
        ),
        headers={"Cache-Control": ASK_AGAIN},
    )
