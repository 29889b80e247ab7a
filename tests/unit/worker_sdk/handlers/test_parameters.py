"""From payloads to arguments."""

from __future__ import annotations

import dataclasses
import enum
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Annotated, Any, Literal, TypedDict
from uuid import UUID

import msgspec
import pytest
from pydantic import BaseModel

from leveret import WrongPayload
from leveret.testing import run_job


@dataclasses.dataclass
class Mail:
    to: str
    copies: int = 1


class Address(msgspec.Struct):
    street: str


class Options(TypedDict):
    fast: bool


class Invoice(BaseModel):
    number: int
    lines: list[str]


class Color(enum.Enum):
    RED = "red"


async def given(function: Callable[..., Any], payload: object) -> Any:
    done = await run_job(function, payload)
    assert done.outcome == "succeeded", done.error
    return done.result


async def refused(function: Callable[..., Any], payload: object) -> str:
    done = await run_job(function, payload)
    assert done.outcome == "failed"
    assert done.error is not None
    assert done.error.type == WrongPayload.__name__
    assert done.retry is False
    return done.error.message


async def test_fields_become_arguments_of_the_same_names() -> None:
    async def handler(to: str, copies: int = 1, tags: list[str] = ["default"]) -> list[Any]:  # noqa: B006
        return [to, copies, tags]

    assert await given(handler, {"to": "a"}) == ["a", 1, ["default"]]
    assert await given(handler, {"to": "a", "copies": 2, "tags": []}) == ["a", 2, []]


async def test_values_are_converted_by_type_hint() -> None:
    def handler(
        at: datetime,
        day: date,
        wait: timedelta,
        key: UUID,
        price: Decimal,
        color: Color,
        mail: Mail,
        address: Address,
        options: Options,
        invoice: Invoice,
        kind: Literal["a", "b"],
        small: Annotated[int, msgspec.Meta(le=3)],
        maybe: int | None,
    ) -> list[str]:
        return [type(value).__name__ for value in locals().values()]

    payload = {
        "at": datetime(2026, 1, 1, tzinfo=UTC),
        "day": date(2026, 1, 1),
        "wait": timedelta(seconds=1),
        "key": UUID(int=1),
        "price": Decimal("1.10"),
        "color": "red",
        "mail": {"to": "a"},
        "address": {"street": "b"},
        "options": {"fast": True},
        "invoice": {"number": 1, "lines": []},
        "kind": "a",
        "small": 3,
        "maybe": None,
    }
    expected = "datetime date timedelta UUID Decimal Color Mail Address dict Invoice str int NoneType"
    assert await given(handler, payload) == expected.split()


@pytest.mark.parametrize(
    ("payload", "message"),
    [
        ({}, "payload: Object missing required field `to`"),
        ({"to": 1}, "payload.to: Expected `str`, got `int`"),
        ({"to": "a", "copies": "x"}, "payload.copies: Expected `int`, got `str`"),
        ({"to": "a", "mails": [{"to": "b"}, {}]}, "payload.mails[1]: Object missing required field `to`"),
        ({"to": "a", "subjct": "b"}, "payload: Object contains unknown field `subjct`"),
        ([], "payload: Expected `object`, got `array`"),
    ],
)
async def test_a_wrong_payload_fails_with_the_field_named_and_is_not_retried(payload: object, message: str) -> None:
    async def handler(to: str, copies: int = 1, mails: list[Mail] = []) -> None: ...  # noqa: B006

    assert await refused(handler, payload) == message


async def test_a_single_object_takes_the_whole_payload() -> None:
    async def as_dataclass(mail: Mail) -> str:
        return mail.to

    async def as_struct(address: Address) -> str:
        return address.street

    async def as_typed_dict(options: Options) -> bool:
        return options["fast"]

    async def as_dict(payload: dict[str, Any]) -> Any:
        return payload

    async def as_model(invoice: Invoice) -> int:
        return invoice.number

    assert await given(as_dataclass, {"to": "a"}) == "a"
    assert await given(as_struct, {"street": "b"}) == "b"
    assert await given(as_typed_dict, {"fast": True}) is True
    assert await given(as_dict, {"any": 1}) == {"any": 1}
    assert await given(as_model, {"number": 7, "lines": []}) == 7


async def test_an_object_beside_others_takes_only_its_own_field() -> None:
    async def handler(mail: Mail, urgent: bool = False) -> list[Any]:
        return [mail.to, urgent]

    assert await given(handler, {"mail": {"to": "a"}}) == ["a", False]


async def test_a_pydantic_model_names_its_field_when_it_refuses() -> None:
    async def handler(invoice: Invoice) -> None: ...

    assert "number" in await refused(handler, {"lines": []})


async def test_the_rest_of_the_payload_goes_where_the_handler_asks_for_it() -> None:
    async def handler(to: str, **rest: Any) -> Any:
        return rest

    assert await given(handler, {"to": "a", "x": 1, "y": [2]}) == {"x": 1, "y": [2]}


async def test_a_handler_without_hints_takes_anything() -> None:
    async def handler(a, b=2):  # type: ignore[no-untyped-def]  # pyright: ignore
        return [a, b]  # pyright: ignore

    assert await given(handler, {"a": {"deep": 1}}) == [{"deep": 1}, 2]  # pyright: ignore


async def test_a_handler_without_parameters_refuses_fields_like_any_function_would() -> None:
    async def handler() -> None: ...

    assert await given(handler, {}) is None
    assert "unknown field `x`" in await refused(handler, {"x": 1})
