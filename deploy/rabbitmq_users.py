"""Makes RabbitMQ's users for servers and workers, each with the rights it needs and no tag; doing it again changes nothing.

Reads RABBITMQ_URL (of the management plugin), RABBITMQ_PASSWORD (of the administrator `leveret`), RABBITMQ_SERVER_PASSWORD and
RABBITMQ_WORKER_PASSWORD.
"""

from __future__ import annotations

import base64
import json
import os
from urllib.request import Request, urlopen

# Configure, write, read; as docs/deploy.md tells.
SERVER = (r"^leveret\..*", r"^(leveret\..*|amq\.default)$", r"^leveret\..*")
WORKER = (
    r"^(jobs|leveret\.control)\..*",
    r"^((jobs|leveret\.control)\..*|leveret\.dead|amq\.default)$",
    r"^((jobs|leveret\.control)\..*|leveret\.jobs|leveret\.control)$",
)
USERS = {
    "leveret-server": ("RABBITMQ_SERVER_PASSWORD", SERVER),
    "leveret-worker": ("RABBITMQ_WORKER_PASSWORD", WORKER),
}


def put(path: str, body: dict[str, str]) -> None:
    """Put one object of the management API; raises OSError when it is refused."""
    login = base64.b64encode(f"leveret:{os.environ['RABBITMQ_PASSWORD']}".encode()).decode()
    headers = {"authorization": f"Basic {login}", "content-type": "application/json"}
    request = Request(f"{os.environ['RABBITMQ_URL']}/api/{path}", json.dumps(body).encode(), headers, method="PUT")  # noqa: S310
    with urlopen(request, timeout=10):  # noqa: S310
        pass


def main() -> None:
    """Make them."""
    for name, (password, (configure, write, read)) in USERS.items():
        put(f"users/{name}", {"password": os.environ[password], "tags": ""})
        put(f"permissions/%2F/{name}", {"configure": configure, "write": write, "read": read})


if __name__ == "__main__":
    main()
