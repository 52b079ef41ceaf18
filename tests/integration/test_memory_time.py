"""Under a virtual clock, the time-outs of a server in memory are exact."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest
import trio
import trio.testing

from kit.datagrams import CountingServer
from kit.serving import LOOPBACK, GateServer, UpperHandler
from trioserver import RequestTimeoutError, StreamRequestHandler, TCPServer
from trioserver.testing import (
    Link,
    MemoryNetwork,
    StreamClient,
    connect,
    open_datagram_client,
    running,
)

MANY = 5000


def open_descriptors() -> int:
    return len(os.listdir("/proc/self/fd"))  # noqa: PTH208  # the fastest


@asynccontextmanager
async def talking_to(
    server: TCPServer, link: Link | None = None
) -> AsyncIterator[StreamClient]:
    """Yield a very patient client of *server*, in a network of its own."""
    async with running(server, MemoryNetwork(), patience=1000):
        async with await connect(server, patience=1000, link=link) as client:
            yield client


async def took(wait: Callable[[], Awaitable[object]]) -> float:
    start = trio.current_time()
    await wait()
    return trio.current_time() - start


async def test_a_silent_client_is_given_up_after_the_timeout(
    autojump_clock: trio.testing.MockClock,
) -> None:
    class Impatient(UpperHandler):
        timeout = 60

    async with talking_to(TCPServer(LOOPBACK, Impatient)) as client:
        await trio.sleep(59)
        await client.send(b"hello\n")
        await client.expect_line(b"HELLO\n")

        assert await took(client.expect_eof) == 60


async def test_a_client_that_does_not_read_is_given_up_after_the_timeout(
    autojump_clock: trio.testing.MockClock,
) -> None:
    errors: list[float] = []

    class Writing(StreamRequestHandler):
        timeout = 60

        async def handle(self) -> None:
            with pytest.raises(RequestTimeoutError):
                await self.wfile.write(bytes(1_000_000))
            errors.append(trio.current_time())

    async with talking_to(TCPServer(LOOPBACK, Writing)) as client:
        start = trio.current_time()
        await trio.sleep(61)

        assert errors == [start + 60]
        assert len(await client.receive()) == Link().window_bytes


async def test_a_client_that_does_not_close_is_lingered_for(
    autojump_clock: trio.testing.MockClock,
) -> None:
    server = TCPServer(LOOPBACK, _return_at_once)
    server.linger_timeout = 30
    async with talking_to(server) as client:
        await client.expect_eof()
        await trio.sleep(29.9)
        assert server.requests_in_flight == 1
        await trio.sleep(0.2)
        assert server.requests_in_flight == 0


async def _return_at_once(_request: object, _address: object, _server: object) -> None:
    pass


async def test_one_that_has_closed_is_not_lingered_for(
    autojump_clock: trio.testing.MockClock,
) -> None:
    server = TCPServer(LOOPBACK, _return_at_once)
    server.linger_timeout = 30
    async with talking_to(server) as client:
        await client.expect_eof()
        await client.aclose()
        assert await took(server.server_close) == 0


async def test_in_a_hurry_the_server_closes_when_all_has_arrived(
    autojump_clock: trio.testing.MockClock,
) -> None:
    server = TCPServer(LOOPBACK, _return_at_once)
    server.max_concurrent_requests = 1
    server.linger_timeout = 30
    async with talking_to(server, Link(delay=3)) as client:
        await client.expect_eof()
        await trio.sleep(0.1)

        assert not server.requests_in_flight


async def test_requests_are_cancelled_after_the_drain_timeout(
    autojump_clock: trio.testing.MockClock,
) -> None:
    server = GateServer()
    server.drain_timeout = 600
    async with talking_to(server) as client:
        await client.send(b"line\n")
        await server.wait_inside(1)

        assert await took(server.server_close) == pytest.approx(600, abs=0.02)
        assert server.cancelled == 1


async def test_handle_request_gives_up_after_its_timeout(
    autojump_clock: trio.testing.MockClock,
) -> None:
    server = MemoryNetwork().adopt(TCPServer(LOOPBACK, UpperHandler))
    server.timeout = 3600
    with server:
        assert await took(server.handle_request) == 3600


async def test_a_silent_session_expires(autojump_clock: trio.testing.MockClock) -> None:
    server = CountingServer(session_timeout=60.0)
    async with running(server, MemoryNetwork()):
        async with await open_datagram_client(server) as client:
            await client.send(b"a")
            await client.expect(b"1")
            await trio.sleep(60)
            await trio.testing.wait_all_tasks_blocked()
            assert server.ends == ["expired"]


async def test_nothing_in_memory_has_a_descriptor(
    autojump_clock: trio.testing.MockClock,
) -> None:
    network = MemoryNetwork()
    async with running(TCPServer(LOOPBACK, UpperHandler), network) as server:
        before = open_descriptors()
        async with await connect(server) as client:
            await client.send(b"hello\n")
            await client.expect_line(b"HELLO\n")
            assert open_descriptors() == before


@pytest.mark.slow
async def test_thousands_of_connections_need_none(
    autojump_clock: trio.testing.MockClock,
) -> None:
    arrived = 0
    gate = trio.Event()

    async def talk() -> None:
        nonlocal arrived
        async with await connect(server, patience=100) as client:
            await client.send(b"hello\n")
            await client.expect_line(b"HELLO\n")
            arrived += 1
            await gate.wait()

    network = MemoryNetwork()
    async with running(TCPServer(LOOPBACK, UpperHandler), network) as server:
        before = open_descriptors()
        async with trio.open_nursery() as nursery:
            for _ in range(MANY):
                nursery.start_soon(talk)
            await trio.testing.wait_all_tasks_blocked()
            assert arrived == server.requests_in_flight == MANY
            assert open_descriptors() == before
            gate.set()
