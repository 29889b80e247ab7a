"""How many triggers are cut into requests."""

from __future__ import annotations

import msgspec
import pytest

from leveret.client import triggers
from leveret.client.triggers import TriggerItem, requests_of
from leveret.errors import InvalidInput, Problem


def test_no_request_has_more_items_or_bytes_than_a_server_takes(monkeypatch: pytest.MonkeyPatch) -> None:
    items: list[TriggerItem] = [{"job": "mail", "payload": {"n": n}, "priority": None} for n in range(2500)]
    requests = list(requests_of(items))
    bodies = [msgspec.json.decode(request.content)["items"] for request in requests]
    assert [len(body) for body in bodies] == [1000, 1000, 500]
    assert [request.first for request in requests] == [0, 1000, 2000]
    assert [item for body in bodies for item in body] == [{"job": "mail", "payload": {"n": n}} for n in range(2500)]
    monkeypatch.setattr(triggers, "MAX_BYTES", 100)
    small = list(requests_of(items[:10]))
    assert max(len(request.content) for request in small) <= 100 + len('{"items":[]}')
    assert sum(len(msgspec.json.decode(request.content)["items"]) for request in small) == 10
    # One that is too large by itself is the server's to refuse.
    assert len(list(requests_of([{"job": "mail", "payload": {"text": "x" * 200}}, {"job": "mail"}]))) == 2


def test_a_request_is_repeated_only_if_all_of_its_items_have_keys() -> None:
    keyed: TriggerItem = {"job": "mail", "idempotency_key": "k"}
    assert [request.safe for request in requests_of([keyed] * 1000 + [keyed, {"job": "mail"}])] == [True, False]


def test_an_error_names_the_place_in_the_whole() -> None:
    item: TriggerItem = {"job": "mail"}
    *_, second = requests_of([item] * 1001)
    told = second.placed(InvalidInput([Problem("items.0.payload", "no"), Problem("items", "x"), Problem("items.0", "y")]))
    assert [problem.field for problem in told.problems] == ["items.1000.payload", "items", "items.1000"]
