"""Dialogues over UDP: one handler for each peer."""

from __future__ import annotations

import logging
import math

import pytest
import trio

from kit.datagrams import CountingServer, ask, open_client
from kit.serving import eventually, serving
from trioserver import (
    BaseRequestHandler,
    DatagramRequestHandler,
    DatagramSession,
    DatagramSessionHandler,
    DatagramSocket,
    SessionStatistics,
    StreamRequestHandler,
)


async def test_all_datagrams_of_a_peer_go_to_one_handler() -> None:
    async with serving(CountingServer()) as server:
        with open_client(server) as one, open_client(server) as other:
            answers = [
                [await ask(client, b"data") for client in (one, other)]
                for _ in range(3)
            ]
        in_flight = server.requests_in_flight

    assert answers == [[b"1", b"1"], [b"2", b"2"], [b"3", b"3"]]
    assert in_flight == 2


async def test_a_plain_handler_gets_the_session_as_its_request() -> None:
    class Plain(BaseRequestHandler):
        async def handle(self) -> None:
            session: DatagramSession = self.request
            assert session.client_address == self.client_address
            async for data in session:
                await session.send(data.upper())

    async with serving(CountingServer(Plain)) as server:
        with open_client(server) as client:
            assert await ask(client, b"hello") == b"HELLO"


@pytest.mark.parametrize("farewell", [b"bye", b"fail"])
async def test_a_peer_that_comes_back_begins_anew(
    farewell: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    async with serving(CountingServer()) as server:
        with open_client(server) as client:
            first = [await ask(client, b"data") for _ in range(2)]
            await client.send(farewell)
            await eventually(lambda: not server.requests_in_flight)
            second = await ask(client, b"data")

    assert (first, second) == ([b"1", b"2"], b"1")
    assert len(caplog.records) == (farewell == b"fail")


async def test_an_idle_session_expires_and_the_peer_may_come_back() -> None:
    server = CountingServer(session_timeout=0.01)
    async with serving(server):
        with open_client(server) as client:
            await client.send(b"data")
            await eventually(lambda: server.ends)
            server.session_timeout = math.inf
            await client.recv(10)
            again = [await ask(client, b"data") for _ in range(2)]

    assert server.ends == ["expired", "stopped"]
    assert again == [b"1", b"2"]
    assert server.statistics().expired == 1


async def test_who_is_silent_makes_room_for_a_newcomer() -> None:
    server = CountingServer(max_sessions=1)
    async with serving(server):
        with open_client(server) as silent, open_client(server) as newcomer:
            await ask(silent, b"data")
            assert await ask(newcomer, b"data") == b"1"
            await eventually(lambda: server.ends)
        assert server.requests_in_flight == 1

    assert server.ends == ["evicted", "stopped"]


async def test_who_answers_keeps_the_place(caplog: pytest.LogCaptureFixture) -> None:
    server = CountingServer(max_sessions=1)
    async with serving(server):
        with open_client(server) as first, open_client(server) as newcomer:
            await ask(first, b"data")
            await ask(first, b"data")
            for _ in range(3):
                await newcomer.send(b"data")
            await eventually(lambda: server.statistics().refused == 3)
            assert await ask(first, b"data") == b"3"

    (record,) = caplog.records
    assert record.levelno == logging.WARNING
    assert "max_sessions is 1" in record.getMessage()


async def test_what_a_slow_handler_does_not_read_is_bounded() -> None:
    class Slow(DatagramSessionHandler):
        server: CountingServer

        async def handle(self) -> None:
            await gate.wait()
            received.extend([data async for data in self.session])

    gate = trio.Event()
    received: list[bytes] = []
    server = CountingServer(Slow, session_queue_size=2, session_drop_policy="oldest")
    async with serving(server):
        with open_client(server) as client:
            for number in range(5):
                await client.send(b"%d" % number)
            await eventually(lambda: server.statistics().received == 5)
            gate.set()

    assert received == [b"3", b"4"]
    statistics = server.statistics()
    assert (statistics.handled, statistics.dropped_by_sessions) == (2, 3)


async def test_counts_everything() -> None:
    server = CountingServer()
    async with serving(server):
        with open_client(server) as client:
            await ask(client, b"data")
            during = server.statistics()
            await client.send(b"bye")
            await eventually(lambda: not server.requests_in_flight)
    after = server.statistics()

    assert during == SessionStatistics(
        received=1,
        truncated=0,
        handled=1,
        from_itself=0,
        dropped_by_kernel=0,
        sessions=1,
        peak_sessions=1,
        started=1,
        expired=0,
        evicted=0,
        refused=0,
        dropped_by_sessions=0,
        unread=0,
    )
    assert (after.received, after.handled, after.sessions) == (2, 2, 0)


async def test_a_session_that_is_not_verified_is_none() -> None:
    class Strict(CountingServer):
        async def verify_request(
            self, request: DatagramSession, _client_address: object
        ) -> bool:
            seen.append(request)
            return False

    seen: list[DatagramSession] = []
    async with serving(Strict()) as server:
        with open_client(server) as client:
            await client.send(b"data")
            await eventually(lambda: seen and not server.requests_in_flight)
            sessions = server.statistics().sessions

    assert sessions == 0
    assert [session.end_reason for session in seen] == ["closed"]


# Truncated ones


class Cut(CountingServer):
    max_packet_size = 4

    async def handle_truncated(
        self, request: tuple[bytes, DatagramSocket], client_address: object
    ) -> None:
        await request[1].sendto(b"too long", client_address)


async def test_a_truncated_datagram_goes_to_its_hook() -> None:
    async with serving(Cut()) as server:
        with open_client(server) as client:
            replies = [await ask(client, data) for data in (b"1234", b"12345", b"12")]

    assert replies == [b"1", b"too long", b"2"]


async def test_truncated_ones_take_no_more_places_than_there_are() -> None:
    server = Cut(max_sessions=0)
    async with serving(server):
        with open_client(server) as client:
            await client.send(b"12345")
            await eventually(lambda: server.statistics().refused)

    assert server.statistics().truncated == 0


# Settings


@pytest.mark.parametrize("limit", [0, 1, 1000])
def test_has_no_limit_of_requests(limit: int) -> None:
    with CountingServer() as server:
        with pytest.raises(ValueError, match="has max_sessions instead"):
            server.max_concurrent_requests = limit
        server.max_concurrent_requests = math.inf


def test_has_none_on_its_class_either() -> None:
    class Limited(CountingServer):
        max_concurrent_requests = 10

    with pytest.raises(ValueError, match="a Limited has max_sessions instead"):
        Limited()


@pytest.mark.parametrize("handler", [StreamRequestHandler, DatagramRequestHandler])
def test_refuses_handlers_of_other_requests(handler: type[BaseRequestHandler]) -> None:
    class Wrong(handler):  # type: ignore[valid-type, misc]  # a parameter
        pass

    with pytest.raises(TypeError, match=f"Wrong is a {handler.__name__}"):
        CountingServer(Wrong)
