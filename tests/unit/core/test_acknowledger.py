"""Settling deliveries: every one exactly once, in few frames, never one that the broker does not hold."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any, Literal

import pamqp.frame
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pamqp.commands import Basic

from leveret_core.broker.acknowledger import Acknowledger

Settlement = Literal["ack", "requeue", "reject"]


class BrokerChannel:
    """The broker's side of a channel with `count` deliveries, as strict as RabbitMQ about tags."""

    number = 7
    is_closed = False

    def __init__(self, count: int) -> None:
        self.held = list(range(1, count + 1))
        self.settled: dict[int, Settlement] = {}
        self.frames = 0
        self.connection = SimpleNamespace(write_queue=SimpleNamespace(put=self.put))

    async def put(self, frame: Any) -> None:
        data: bytes = frame.payload
        await asyncio.sleep(0)
        while data:
            size, number, method = pamqp.frame.unmarshal(data)
            assert number == self.number
            self.receive(method)
            data = data[size:]

    def receive(self, method: Any) -> None:
        self.frames += 1
        tag = method.delivery_tag
        assert tag in self.held, f"PRECONDITION_FAILED: unknown delivery tag {tag}"
        tags = [held for held in self.held if held <= tag] if getattr(method, "multiple", False) else [tag]
        kind: Settlement = "ack"
        if isinstance(method, Basic.Nack | Basic.Reject):
            kind = "requeue" if method.requeue else "reject"
        for each in tags:
            self.held.remove(each)
            self.settled[each] = kind


async def settle(acks: Acknowledger, tag: int, kind: Settlement) -> None:
    if kind == "ack":
        await acks.ack(tag)
    elif kind == "requeue":
        await acks.requeue(tag)
    else:
        acks.reject(tag)


plans = st.integers(0, 40).flatmap(
    lambda count: st.tuples(
        st.permutations(range(1, count + 1)),
        st.lists(st.sampled_from(["ack"] * 6 + ["requeue", "reject"]), min_size=count, max_size=count),
        st.lists(st.integers(0, 2), min_size=count, max_size=count),
        st.integers(0, count),
    )
)


@given(plans)
def test_each_delivery_is_settled_once_and_as_it_was_told(
    plan: tuple[list[int], list[Settlement], list[int], int],
) -> None:
    order, kinds, pauses, kept = plan

    async def run() -> None:
        channel: Any = BrokerChannel(len(order))
        acks = Acknowledger(channel)
        told = dict(list(zip(order, kinds, strict=True))[: len(order) - kept])
        for (tag, kind), pause in zip(told.items(), pauses, strict=False):
            await settle(acks, tag, kind)
            await settle(acks, tag, "ack")
            for _ in range(pause):
                await asyncio.sleep(0)
        await acks.flush()
        assert channel.settled == told
        assert sorted(channel.held) == sorted(set(order) - set(told))

    asyncio.run(run())


def test_what_follows_each_other_goes_in_one_frame() -> None:
    async def run() -> None:
        channel: Any = BrokerChannel(300)
        acks = Acknowledger(channel)
        for tag in range(300, 0, -1):
            await acks.ack(tag)
        await acks.flush()
        assert not channel.held
        assert channel.frames == 1

    asyncio.run(run())


@pytest.mark.parametrize("kind", ["ack", "requeue", "reject"])
def test_nothing_is_sent_on_a_closed_channel(kind: Settlement) -> None:
    async def run() -> None:
        channel: Any = BrokerChannel(2)
        acks = Acknowledger(channel)
        channel.is_closed = True
        await settle(acks, 1, kind)
        await acks.flush()
        assert channel.frames == 0

    asyncio.run(run())
