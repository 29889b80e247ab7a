"""The proxy through which tests break the network: each verb does what it says."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable

import pytest

from support.eventually import eventually
from support.proxy import Direction, Proxy

Ends = tuple[asyncio.StreamReader, asyncio.StreamWriter]
Connect = Callable[[], Awaitable[Ends]]


@pytest.fixture
async def echo_url() -> AsyncIterator[str]:
    """A server that answers each line with itself."""

    async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while line := await reader.readline():
                writer.write(line)
                await writer.drain()
        except ConnectionError:
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(echo, "127.0.0.1", 0)
    port: int = server.sockets[0].getsockname()[1]
    yield f"redis://somebody:secret@127.0.0.1:{port}/3"
    server.close()


@pytest.fixture
async def proxy(echo_url: str) -> AsyncIterator[Proxy]:
    async with Proxy(echo_url) as proxy:
        yield proxy


@pytest.fixture
async def connect(proxy: Proxy) -> AsyncIterator[Connect]:
    """Connects to the proxy."""
    opened: list[Ends] = []

    async def connect() -> Ends:
        opened.append(await asyncio.open_connection("127.0.0.1", proxy.port))
        return opened[-1]

    yield connect
    for _, writer in opened:
        writer.close()


async def say(ends: Ends, line: bytes) -> bytes:
    ends[1].write(line)
    return await asyncio.wait_for(ends[0].readline(), 5)


async def test_bytes_pass_both_ways_and_the_url_keeps_all_but_the_place(proxy: Proxy, connect: Connect, echo_url: str) -> None:
    ends = await connect()
    assert await say(ends, b"hello\n") == b"hello\n"
    assert proxy.url == f"redis://somebody:secret@127.0.0.1:{proxy.port}/3" != echo_url
    assert (proxy.connections, proxy.accepted) == (1, 1)
    ends[1].write_eof()
    assert await ends[0].read() == b""
    ends[1].close()
    await eventually(lambda: proxy.connections == 0)


async def test_cut_ends_a_connection_in_the_orderly_way_and_lets_new_ones_in(proxy: Proxy, connect: Connect) -> None:
    ends = await connect()
    await say(ends, b"hello\n")
    proxy.cut()
    assert await ends[0].read() == b""
    assert await say(await connect(), b"again\n") == b"again\n"


async def test_reset_breaks_a_connection(proxy: Proxy, connect: Connect) -> None:
    ends = await connect()
    await say(ends, b"hello\n")
    proxy.reset()
    with pytest.raises(ConnectionResetError):
        await ends[0].read()


async def test_refuse_turns_new_connections_away_until_healed(proxy: Proxy, connect: Connect) -> None:
    old = await connect()
    await say(old, b"hello\n")
    proxy.refuse()
    with pytest.raises(ConnectionRefusedError):
        await connect()
    assert await say(old, b"still here\n") == b"still here\n"
    await proxy.heal()
    assert await say(await connect(), b"again\n") == b"again\n"


@pytest.mark.parametrize("direction", [None, *Direction])
async def test_a_black_hole_swallows_in_silence_and_gives_back_when_healed(
    proxy: Proxy, connect: Connect, direction: Direction | None
) -> None:
    ends = await connect()
    await say(ends, b"hello\n")
    proxy.blackhole(direction)
    ends[1].write(b"lost?\n")
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(ends[0].readline(), 0.1)
    assert proxy.connections == 1
    await proxy.heal()
    assert await asyncio.wait_for(ends[0].readline(), 5) == b"lost?\n"


async def test_a_connection_in_a_black_hole_can_still_be_reset(proxy: Proxy, connect: Connect) -> None:
    ends = await connect()
    await say(ends, b"hello\n")
    proxy.blackhole()
    ends[1].write(b"lost\n")
    proxy.reset()
    with pytest.raises(ConnectionResetError):
        await ends[0].read()
    await eventually(lambda: proxy.connections == 0)


async def test_delay_holds_bytes_back_for_its_time_but_does_not_slow_their_flow(proxy: Proxy, connect: Connect) -> None:
    loop = asyncio.get_running_loop()
    ends = await connect()
    await say(ends, b"hello\n")
    proxy.delay(0.2, Direction.TO_SERVER)
    start = loop.time()
    for number in range(10):
        ends[1].write(b"%d\n" % number)
        await asyncio.sleep(0.01)
    assert [await ends[0].readline() for _ in range(10)] == [b"%d\n" % number for number in range(10)]
    assert 0.2 <= loop.time() - start < 1.0


async def test_cut_after_a_number_of_bytes_lets_just_those_through(proxy: Proxy, connect: Connect) -> None:
    ends = await connect()
    await say(ends, b"hello\n")
    trigger = proxy.cut_after(4, Direction.TO_CLIENT)
    ends[1].write(b"1234567\n")
    assert await ends[0].read() == b"1234"
    assert trigger.fired.is_set()
    assert await say(await connect(), b"again\n") == b"again\n"


async def test_cut_after_a_pattern_sees_it_across_reads_and_can_reset(proxy: Proxy, connect: Connect) -> None:
    ends = await connect()
    trigger = proxy.cut_after(rb"COM+IT", Direction.TO_SERVER, reset=True)
    assert await say(ends, b"begin\n") == b"begin\n"
    ends[1].write(b"CO")
    await ends[1].drain()
    assert await say(await connect(), b"on another connection\n") == b"on another connection\n"
    ends[1].write(b"MMIT;\n")
    with pytest.raises(ConnectionResetError):
        await ends[0].read()
    assert trigger.fired.is_set()


async def test_a_server_that_is_away_looks_like_a_broken_connection() -> None:
    async with Proxy("amqp://guest:guest@127.0.0.1:1/") as proxy:
        reader, writer = await asyncio.open_connection("127.0.0.1", proxy.port)
        with pytest.raises(ConnectionResetError):
            await reader.read()
        writer.close()
