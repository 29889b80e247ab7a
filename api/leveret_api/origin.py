"""Whether a request of a browser comes from our own pages."""

from __future__ import annotations

from collections.abc import Mapping
from urllib.parse import urlsplit


def same_origin(headers: Mapping[str, str]) -> bool:
    """Whether a request may change something or open a live connection.

    Only browsers send `Sec-Fetch-Site` and `Origin`, and no page can forge them; whatever sends neither is no browser.
    The scheme is not compared: behind a proxy that ends TLS we do not know it.

    Args:
        headers: of the request, names in lower case.
    """
    site = headers.get("sec-fetch-site")
    if site is not None:
        return site in ("same-origin", "none")
    origin = headers.get("origin")
    if origin is None:
        return True
    try:
        host = urlsplit(origin).netloc.lower()
    except ValueError:
        return False
    ours = (headers.get("host", ""), headers.get("x-forwarded-host", "").split(",")[0].strip())
    return bool(host) and host in (name.lower() for name in ours)
