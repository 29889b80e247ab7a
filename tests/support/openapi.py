"""The OpenAPI document, without a server."""

from __future__ import annotations

from typing import Any

from fastapi import FastAPI

from leveret_api.app import ROUTERS
from leveret_api.openapi import describe


def document() -> dict[str, Any]:
    """The document of the API."""
    app = FastAPI()
    for part in ROUTERS:
        app.include_router(part.router)
    describe(app)
    return app.openapi()
