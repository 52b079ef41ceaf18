"""Datagrams: received, handled, answered."""

from __future__ import annotations

import logging
import socket

import pytest
import trio
from hypothesis import given, settings
from hypothesis import strategies as st

import trioserver
from kit.datagrams import (
    MAX_PAYLOAD,
    GateDatagramServer,
    UpperDatagramHandler,
    ask,
    open_client,
)
from kit.serving import LOOPBACK, STUCK, eventually, serving
from trioserver import (
    BaseRequestHandler,
    DatagramRequestHandler,
    DatagramSocket,
    ListenerBrokenError,
    UDPServer,
)
from trioserver.testing import Snapshot


async def test_answers_a_datagram() -> None:
    async with serving(UDPServer(LOOPBACK, UpperDatagramHandler)) as server:
        with open_client(server) as client:
            reply = await ask(client, b"hello")

    assert reply == b"HELLO"


class EchoHandler(DatagramRequestHandler):
    async def handle(self) -> None:
        self.wfile.write(self.packet)


@settings(max_examples=50, deadline=None)
@given(st.lists(st.binary(min_size=1, max_size=2000), max_size=5))
def test_whatever_is_sent_comes_back(payloads: list[bytes]) -> None:
    async def send_all() -> list[bytes]:
        async with serving(UDPServer(LOOPBACK, EchoHandler)) as server:
            with open_client(server) as client:
                return [await ask(client, payload) for payload in payloads]

    assert trio.run(send_all) == payloads


async def test_the_longest_datagram_comes_back() -> None:
    payload = bytes(MAX_PAYLOAD)
    async with serving(UDPServer(LOOPBACK, EchoHandler)) as server:
        with open_client(server) as client:
            reply = await ask(client, payload)

    assert reply == payload


async def test_an_empty_datagram_is_a_request() -> None:
    class Counting(DatagramRequestHandler):
        async def handle(self) -> None:
            self.wfile.write(b"%d" % len(self.packet))

    async with serving(UDPServer(LOOPBACK, Counting)) as server:
        with open_client(server) as client:
            reply = await ask(client, b"")

    assert reply == b"0"


async def test_an_empty_reply_can_be_sent_by_hand() -> None:
    async def handle(
        request: tuple[bytes, DatagramSocket], client_address: object, _server: object
    ) -> None:
        await request[1].sendto(b"", client_address)

    async with serving(UDPServer(LOOPBACK, handle)) as server:
        with open_client(server) as client:
            reply = await ask(client, b"hello")

    assert reply == b""


async def test_a_plain_handler_gets_the_data_and_the_socket() -> None:
    class Plain(BaseRequestHandler):
        async def handle(self) -> None:
            data, sock = self.request
            assert sock.fileno() == sock.socket.fileno()
            assert sock.getsockname() == self.server.server_address
            await sock.sendto(data.upper(), self.client_address)

    async with serving(UDPServer(LOOPBACK, Plain)) as server:
        with open_client(server) as client:
            reply = await ask(client, b"hello")

    assert reply == b"HELLO"


# What is sent, and when nothing is


class PickyHandler(DatagramRequestHandler):
    """Answers only to who says so."""

    async def handle(self) -> None:
        if self.packet == b"nothing":
            return
        self.wfile.write(self.packet.upper())
        if self.packet == b"fail":
            message = "no reason"
            raise ValueError(message)


@pytest.mark.parametrize("unanswered", [b"nothing", b"fail"])
async def test_no_reply_is_no_datagram(
    unanswered: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    server = UDPServer(LOOPBACK, PickyHandler)
    server.max_concurrent_requests = 1
    async with serving(server):
        with open_client(server) as client:
            await client.send(unanswered)
            reply = await ask(client, b"next")

    assert reply == b"NEXT"
    assert len(caplog.records) == (unanswered == b"fail")
    assert server.statistics().handled == 2 - (unanswered == b"fail")


async def test_a_handler_that_is_cancelled_sends_nothing() -> None:
    server = GateDatagramServer()
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
        client.setblocking(False)
        async with trio.open_nursery() as nursery:
            await nursery.start(server.serve)
            client.sendto(b"hello", server.server_address)
            await eventually(lambda: server.events)
            nursery.cancel_scope.cancel()

        # What is sent on loopback is there at once.
        with pytest.raises(BlockingIOError):
            client.recv(100)


# How many at once, and in which order


async def test_datagrams_are_handled_at_the_same_time() -> None:
    server = GateDatagramServer()
    async with serving(server):
        with open_client(server) as client:
            for data in (b"1", b"2", b"3"):
                await client.send(data)
            await eventually(lambda: len(server.events) == 3)
            in_flight = server.requests_in_flight
            server.gate.set()
            replies = {await client.recv(10) for _ in range(3)}

    assert in_flight == 3
    assert replies == {b"1", b"2", b"3"}


async def test_one_at_a_time_is_in_order_of_arrival() -> None:
    order: list[tuple[str, bytes]] = []

    class Slow(DatagramRequestHandler):
        async def handle(self) -> None:
            order.append(("begin", self.packet))
            await trio.lowlevel.checkpoint()
            order.append(("end", self.packet))

    server = UDPServer(LOOPBACK, Slow)
    server.max_concurrent_requests = 1
    numbers = [b"%d" % number for number in range(20)]
    async with serving(server):
        with open_client(server) as client:
            for number in numbers:
                await client.send(number)
            await eventually(lambda: len(order) == 40)

    assert order == [(edge, n) for n in numbers for edge in ("begin", "end")]


async def test_nothing_is_received_above_the_limit() -> None:
    server = GateDatagramServer()
    server.max_concurrent_requests = 2
    async with serving(server):
        with open_client(server) as client:
            for data in (b"1", b"2", b"3", b"4"):
                await client.send(data)
            await eventually(lambda: len(server.events) == 2)
            await trio.testing.wait_all_tasks_blocked()
            received = server.statistics().received
            server.max_concurrent_requests = 3
            await eventually(lambda: len(server.events) == 3)
            server.gate.set()
            await eventually(lambda: server.statistics().handled == 4)

    assert received == 2


# Truncation


class Cut(UDPServer):
    max_packet_size = 4


async def test_a_datagram_that_is_too_long_is_dropped_and_logged(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async with serving(Cut(LOOPBACK, UpperDatagramHandler)) as server:
        with open_client(server) as client:
            await client.send(b"12345")
            reply = await ask(client, b"1234")

    assert reply == b"1234"
    (record,) = caplog.records
    assert record.levelno == logging.WARNING
    assert "longer than the max_packet_size of 4 bytes" in record.getMessage()
    statistics = server.statistics()
    assert (statistics.received, statistics.truncated, statistics.handled) == (2, 1, 1)


async def test_many_of_them_are_one_line(caplog: pytest.LogCaptureFixture) -> None:
    async with serving(Cut(LOOPBACK, UpperDatagramHandler)) as server:
        # An hour from now on, so that a slow machine writes no second line.
        server._truncations._logged = trio.current_time() + 3600
        with open_client(server) as client:
            for _ in range(10):
                await client.send(b"12345")
            await eventually(lambda: server.statistics().truncated == 10)
            assert caplog.records == []
            server._truncations._logged = 0
            await client.send(b"12345")
            await eventually(lambda: caplog.records)

    (record,) = caplog.records
    assert "since the last line: 11" in record.getMessage()


async def test_the_hook_for_them_may_be_overridden() -> None:
    class Lenient(Cut):
        def handle_truncated(  # type: ignore[override]  # a plain function will do
            self, request: tuple[bytes, DatagramSocket], client_address: object
        ) -> None:
            seen.append((request[0], client_address))

    seen: list[tuple[bytes, object]] = []
    async with serving(Lenient(LOOPBACK, UpperDatagramHandler)) as server:
        with open_client(server) as client:
            await client.send(b"12345")
            await eventually(lambda: seen)
            address = client.getsockname()

    assert seen == [(b"1234", address)]


async def test_an_override_of_get_request_may_return_anything() -> None:
    class Decoding(UDPServer):
        async def get_request(self) -> tuple[object, object]:
            (data, sock), address = await super().get_request()
            return {"text": data.decode(), "socket": sock}, address

    async def handle(
        request: dict[str, object], client_address: object, _server: object
    ) -> None:
        sock = request["socket"]
        assert isinstance(sock, DatagramSocket)
        await sock.sendto(str(request["text"]).upper().encode(), client_address)

    async with serving(Decoding(LOOPBACK, handle)) as server:
        with open_client(server) as client:
            assert await ask(client, b"hello") == b"HELLO"


# Statistics


async def test_counts_what_the_kernel_has_dropped() -> None:
    server = UDPServer(LOOPBACK, EchoHandler)
    server.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    server.max_concurrent_requests = 0
    async with serving(server):
        with open_client(server) as client:
            for _ in range(100):
                await client.send(bytes(1000))
            dropped = server.statistics().dropped_by_kernel

    assert dropped is not None
    assert dropped > 50
    assert server.statistics().dropped_by_kernel == dropped


async def test_tells_once_a_second_that_the_kernel_drops_datagrams(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("trioserver._servers.udp.LOOK_FOR_DROPS_EVERY", 2)
    server = UDPServer(LOOPBACK, EchoHandler)
    server.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    server.max_concurrent_requests = 0
    async with serving(server):
        with open_client(server) as client:
            for _ in range(100):
                await client.send(bytes(1000))
            server.max_concurrent_requests = 10
            await eventually(lambda: caplog.records)
            for _ in range(5):
                await client.send(b"no more are lost")
            await eventually(lambda: server.statistics().received > 5)
    dropped = server.statistics().dropped_by_kernel

    (record,) = caplog.records
    assert record.levelno == logging.WARNING
    assert f"(since the last line: {dropped})" in record.getMessage()


# One at a call


async def test_handle_request_handles_one() -> None:
    server = UDPServer(LOOPBACK, EchoHandler)
    with trio.fail_after(STUCK), open_client(server) as client:
        await client.send(b"1")
        await client.send(b"2")
        await server.handle_request()
        after_one = server.statistics().received
        await server.handle_request()
        replies = [await client.recv(10), await client.recv(10)]
        await server.server_close()

    assert after_one == 1
    assert replies == [b"1", b"2"]


async def test_handle_request_gives_up_after_its_timeout() -> None:
    timeouts = []

    class Impatient(UDPServer):
        timeout = 0

        async def handle_timeout(self) -> None:
            timeouts.append(self.statistics().received)

    with trio.fail_after(STUCK):
        with Impatient(LOOPBACK, EchoHandler) as server:
            await server.handle_request()
            with open_client(server) as client:
                await client.send(b"there already")
                await server.handle_request()
                await server.handle_request()

    assert timeouts == [0, 1]


async def test_has_no_epoll_of_its_own_for_connections_that_there_are_none() -> None:
    def epolls() -> int:
        targets = Snapshot.take().descriptors.values()
        return sum("eventpoll" in target for target in targets)

    before = epolls()
    async with serving(UDPServer(LOOPBACK, EchoHandler)) as server:
        with open_client(server) as client:
            await ask(client, b"hello")
        during = epolls()

    assert during == before


# Sockets that are not what a server needs


async def test_a_socket_without_an_address_ends_with_an_error_that_says_so() -> None:
    server = UDPServer(LOOPBACK, EchoHandler, bind_and_activate=False)

    with trio.fail_after(STUCK):
        with pytest.raises(ListenerBrokenError, match="server_bind"):
            await server.serve()


@pytest.mark.parametrize("base", ["StreamRequestHandler", "DatagramSessionHandler"])
def test_a_handler_for_something_else_is_refused(base: str) -> None:

    handler = type("Wrong", (getattr(trioserver, base),), {})

    with pytest.raises(TypeError, match=f"Wrong is a {base}, .* of a UDPServer"):
        UDPServer(LOOPBACK, handler)
