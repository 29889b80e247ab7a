"""How commands take what a server answers."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

import pytest

from leveret.cli.client import Client
from leveret.cli.errors import Refused, ServerUnreachable
from leveret_core.errors import NotFound
from support.command_line import command


class Script(HTTPServer):
    """Answers every request with the next of `answers`, and keeps the requests.

    An answer is a status, a content type and a body.
    """

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.answers: list[tuple[int, str, str]] = []
        self.requests: list[str] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"

    def will_answer(self, value: object, status: int = 200, kind: str = "application/json") -> None:
        self.answers.append((status, kind, json.dumps(value)))


class _Handler(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        assert isinstance(self.server, Script)
        self.server.requests.append(self.path)
        status, kind, body = self.server.answers.pop(0)
        self.send_response(status)
        self.send_header("content-type", kind)
        self.send_header("content-length", str(len(body.encode())))
        self.end_headers()
        self.wfile.write(body.encode())

    def log_message(self, format: str, *args: Any) -> None:
        pass


def a_record(seq: int, message: str | None = None) -> dict[str, Any]:
    fields = {"attempt": 2, "seq": seq, "at": "2026-01-01T00:00:00Z", "level": "info"}
    return {**fields, "message": message or f"m{seq}", "fields": {"a": 1}}


@pytest.fixture
def server() -> Iterator[Script]:
    script = Script()
    thread = threading.Thread(target=script.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield script
    script.shutdown()
    thread.join()
    script.server_close()


def test_a_listing_is_read_page_by_page_up_to_the_limit(server: Script) -> None:
    server.will_answer({"items": [1, 2], "next_cursor": "c1"})
    server.will_answer({"items": [3, 4], "next_cursor": "c2"})

    with Client(server.url) as client:
        assert client.pages("jobs", limit=3, type="a b", tag=None) == [1, 2, 3]

    assert server.requests == ["/api/v1/jobs?limit=3&type=a+b", "/api/v1/jobs?limit=1&cursor=c1&type=a+b"]


def test_several_states_are_repeated_in_the_query(server: Script) -> None:
    server.will_answer({"items": [], "next_cursor": None})

    assert command("occurrences", "list", "--state", "failed", "--state", "running", "--url", server.url).code == 0

    assert "state=failed&state=running" in server.requests[0]


def test_a_refusal_names_the_fields_at_fault(server: Script) -> None:
    errors = [{"field": "trigger.every", "message": "too short"}, {"field": "", "message": "and more"}]
    server.will_answer({"title": "Unprocessable", "detail": "both", "errors": errors}, 422, "application/problem+json")

    with Client(server.url) as client, pytest.raises(Refused, match=r"trigger\.every: too short\n  and more") as refused:
        client.get("jobs")

    assert refused.value.status == 422


def test_404_is_not_found_with_the_servers_words(server: Script) -> None:
    server.will_answer({"detail": "there is no job named x"}, 404, "application/problem+json")

    with Client(server.url) as client, pytest.raises(NotFound, match="there is no job named x"):
        client.get("jobs/x")


def test_something_else_on_the_port_is_told_from_a_leveret_server(server: Script) -> None:
    server.answers.append((200, "text/html", "<h1>It works!</h1>"))

    with (
        Client(server.url) as client,
        pytest.raises(ServerUnreachable, match=r"not as a Leveret server does \(200 OK"),
    ):
        client.get("jobs")


def test_a_jobs_text_cannot_steer_the_terminal(server: Script) -> None:
    record = a_record(1, message="\x1b[2J\x1b]0;hi\x07")
    server.will_answer({"items": [record], "next_cursor": None})

    done = command("occurrences", "logs", "1", "--url", server.url)

    assert "\x1b" not in done.out
    assert "\\x1b[2J" in done.out


def test_logs_are_read_on_from_the_last_record(server: Script) -> None:
    server.will_answer({"state": "running"})
    server.will_answer({"items": [a_record(1), a_record(2)], "next_cursor": "2:2"})
    server.will_answer({"items": [], "next_cursor": None})
    server.will_answer({"state": "succeeded"})
    server.will_answer({"items": [a_record(3)], "next_cursor": None})

    done = command("occurrences", "logs", "7", "--follow", "--url", server.url)

    assert [line.split()[3] for line in done.out.splitlines()] == ["m1", "m2", "m3"]
    assert [path.partition("?")[2] for path in server.requests if "/logs" in path] == [
        "limit=500",
        "after=2%3A2&limit=500",
        "after=2%3A2&limit=500",
    ]
