"""When the client asks again, and what it makes of odd answers; a scripted transport stands in for the network."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable

import httpx
import pytest

from leveret.client import Client
from leveret.client import transport as module
from leveret.errors import Conflict, InvalidInput, Refused, ServerUnreachable

JOB = {"id": 1, "name": "n", "type": "t", "version": 1, "trigger": {}, "payload": {}, "description": "", "tags": []} | {
    "paused": False,
    "pause_reason": None,
    "next_fire_at": None,
    "last_fire_at": "2026-01-01T00:00:00Z",
    "something_newer": 1,
}
Answer = httpx.Response | Exception


@pytest.fixture(autouse=True)
def _no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "PAUSE", 0.001)


class Network:
    """Answers requests with `answers` in turn, the last one again and again, and keeps the requests."""

    def __init__(self, *answers: Callable[[], Answer]) -> None:
        self.answers = list(answers)
        self.requests: list[httpx.Request] = []

    def client(self) -> Client:
        return Client("http://leveret.test/", headers={"x-key": "k"}, transport=httpx.MockTransport(self._answer))

    def _answer(self, request: httpx.Request) -> httpx.Response:
        self.requests.append(request)
        answer = (self.answers.pop(0) if len(self.answers) > 1 else self.answers[0])()
        if isinstance(answer, Exception):
            raise answer
        return answer


def cut() -> Answer:
    return httpx.ReadError("cut off")


def away() -> Answer:
    return httpx.Response(503, json={"detail": "Postgres does not answer"})


def job() -> Answer:
    return httpx.Response(200, json=JOB)


async def test_what_can_be_repeated_is_repeated_until_it_is_answered() -> None:
    network = Network(cut, away, job)
    async with network.client() as client:
        assert (await client.put_job("n", type="t", trigger={})).name == "n"
    assert [(request.method, str(request.url)) for request in network.requests] == [
        ("PUT", "http://leveret.test/api/v1/jobs/n")
    ] * 3
    assert network.requests[0].headers["x-key"] == "k"


async def test_a_trigger_without_a_key_is_sent_once_and_one_with_a_key_four_times() -> None:
    network = Network(cut)
    async with network.client() as client:
        with pytest.raises(ServerUnreachable, match=r"no Leveret server answers at http://leveret.test \(cut off, after"):
            await client.trigger("n")
        assert len(network.requests) == 1
        with pytest.raises(ServerUnreachable):
            await client.trigger("n", idempotency_key="k")
        assert len(network.requests) == 1 + module.TRIES
    assert [request.content for request in network.requests] == [b"{}"] + [b'{"idempotency_key":"k"}'] * module.TRIES


async def test_a_server_that_stays_unavailable_is_refused_in_its_words() -> None:
    network = Network(away)
    async with network.client() as client:
        with pytest.raises(Refused, match="Postgres does not answer") as refused:
            await client.job("a/b")
    assert (refused.value.status, len(network.requests)) == (503, module.TRIES)
    assert network.requests[0].url.raw_path == b"/api/v1/jobs/a%2Fb"


@pytest.mark.parametrize(
    ("status", "error"), [(400, InvalidInput), (409, Conflict), (413, InvalidInput), (403, Refused), (500, Refused)]
)
async def test_each_refusal_is_an_error_of_its_kind_and_not_repeated(status: int, error: type[Exception]) -> None:
    network = Network(lambda: httpx.Response(status, json={"detail": "for this reason"}))
    async with network.client() as client:
        with pytest.raises(error, match="for this reason"):
            await client.job("n")
    assert len(network.requests) == 1


async def test_another_server_at_the_url_is_named() -> None:
    async with Network(lambda: httpx.Response(200, html="<p>hello")).client() as client:
        with pytest.raises(ServerUnreachable, match="not as a Leveret server does"):
            await client.job("n")
    async with Network(lambda: httpx.Response(418, html="<p>hello")).client() as client:
        with pytest.raises(Refused, match="418 I'm a teapot"):
            await client.job("n")


def test_without_httpx_the_error_says_what_to_install() -> None:
    code = """
import sys
sys.modules["httpx"] = None
import leveret.client
try:
    leveret.client.Client()
except leveret.ConfigurationError as error:
    print(error)
"""
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True, timeout=60)
    assert done.stdout == "leveret.client needs httpx: pip install 'leveret[server]'\n"


def test_importing_the_sdk_does_not_load_the_client() -> None:
    code = "import sys, leveret; print({'leveret.client', 'httpx'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True, timeout=60)
    assert done.stdout == "set()\n"
