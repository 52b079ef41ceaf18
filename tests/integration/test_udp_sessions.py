"""Dialogues over UDP: one handler for each peer."""

from __future__ import annotations

import logging
import math

import pytest
import trio

from kit.datagrams import ask, open_client
from kit.serving import LOOPBACK, STUCK, eventually, serving
from trioserver import (
    AlreadyServingError,
    BaseRequestHandler,
    DatagramRequestHandler,
    DatagramSession,
    DatagramSessionHandler,
    DatagramSocket,
    ServerClosedError,
    SessionStatistics,
    StreamRequestHandler,
    UDPSessionServer,
)


class CountingHandler(DatagramSessionHandler):
    """Answers each datagram of a peer with its number; says how the session ended."""

    server: CountingServer

    async def handle(self) -> None:
        number = 0
        async for data in self.session:
            number += 1
            if data == b"fail":
                message = "no reason"
                raise ValueError(message)
            if data == b"bye":
                return
            await self.session.send(b"%d" % number)
        self.server.ends.append(self.session.end_reason)


class CountingServer(UDPSessionServer):
    def __init__(
        self, handler: type[BaseRequestHandler] = CountingHandler, **settings: object
    ) -> None:
        self.ends: list[str | None] = []
        super().__init__(LOOPBACK, handler)
        for name, value in settings.items():
            setattr(self, name, value)


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


# The end


async def test_what_has_come_is_received_when_the_server_stops() -> None:
    class Slow(DatagramSessionHandler):
        async def handle(self) -> None:
            await gate.wait()
            received.extend([data async for data in self.session])
            await self.session.send(b"goodbye")

    gate = trio.Event()
    received: list[bytes] = []
    server = CountingServer(Slow)
    with open_client(server) as client:
        async with serving(server):
            await client.send(b"1")
            await client.send(b"2")
            await eventually(lambda: server.statistics().received == 2)
            await server.shutdown()
            gate.set()
        assert await client.recv(10) == b"goodbye"

    assert received == [b"1", b"2"]


async def test_the_drain_timeout_is_for_who_does_not_notice(
    caplog: pytest.LogCaptureFixture,
) -> None:
    class Deaf(DatagramSessionHandler):
        async def handle(self) -> None:
            await trio.sleep_forever()

    server = CountingServer(Deaf, drain_timeout=0.01)
    async with serving(server):
        with open_client(server) as client:
            await client.send(b"data")
            await eventually(lambda: server.requests_in_flight)

    assert "The drain_timeout of 0.01 s is over" in caplog.text


async def test_sessions_end_with_the_loop_if_nothing_else_holds_them() -> None:
    server = CountingServer()
    with trio.fail_after(STUCK), open_client(server) as client:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(server.serve_forever)
            await ask(client, b"data")
            await server.shutdown()
        await server.server_close()

    assert server.ends == ["stopped"]


async def test_sessions_live_on_between_two_loops_inside_async_with() -> None:
    server = CountingServer()
    answers = []
    with trio.fail_after(STUCK), open_client(server) as client:
        async with server:
            for _ in range(2):
                async with trio.open_nursery() as nursery:
                    nursery.start_soon(server.serve_forever)
                    answers.append(await ask(client, b"data"))
                    await server.shutdown()

    assert answers == [b"1", b"2"]


async def test_a_plain_with_ends_those_in_a_nursery_elsewhere() -> None:
    server = CountingServer()
    with trio.fail_after(STUCK), open_client(server) as client:
        async with trio.open_nursery() as nursery:
            with server:
                async with trio.open_nursery() as serving_nursery:
                    server.block_on_close = False

                    async def serve() -> None:
                        await server.serve(handler_nursery=nursery)

                    serving_nursery.start_soon(serve)
                    await ask(client, b"data")
                    await server.shutdown()

    assert server.ends == ["stopped"]


# One at a call


async def test_handle_request_sees_one_session_through() -> None:
    server = CountingServer()
    with trio.fail_after(STUCK):
        with server, open_client(server) as client, open_client(server) as other:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(server.handle_request)
                answers = [await ask(client, b"data") for _ in range(2)]
                await other.send(b"from a newcomer")
                await eventually(lambda: server.statistics().refused)
                await client.send(b"bye")

    assert answers == [b"1", b"2"]
    assert server.statistics().started == 1


async def test_nobody_else_serves_meanwhile() -> None:
    server = CountingServer()
    with trio.fail_after(STUCK), open_client(server) as client:
        with server:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(server.handle_request)
                await ask(client, b"data")
                with pytest.raises(AlreadyServingError, match="one at a time"):
                    await server.handle_request()
                with pytest.raises(AlreadyServingError, match="one at a time"):
                    await server.serve_forever()
                assert await ask(client, b"data") == b"2"
                await client.send(b"bye")


async def test_handle_request_raises_what_escapes_as_itself() -> None:
    class Exiting(DatagramSessionHandler):
        async def handle(self) -> None:
            await self.session.receive()
            raise SystemExit(3)

    server = CountingServer(Exiting)
    with trio.fail_after(STUCK), server, open_client(server) as client:
        await client.send(b"data")
        with pytest.raises(SystemExit):
            await server.handle_request()


async def test_handle_request_gives_up_after_its_timeout() -> None:
    timeouts = []

    class Impatient(CountingServer):
        timeout = 0

        async def handle_timeout(self) -> None:
            timeouts.append(self.timeout)

    server = Impatient()
    with trio.fail_after(STUCK), server:
        await server.handle_request()

    assert timeouts == [0]
    with pytest.raises(ServerClosedError):
        await server.handle_request()


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
