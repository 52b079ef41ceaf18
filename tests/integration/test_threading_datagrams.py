"""Datagrams, each handled in a thread."""

from __future__ import annotations

import logging
import socket
import socketserver
import threading
from pathlib import Path

import pytest
import trio

from kit.datagrams import ask, open_client
from kit.serving import LOOPBACK, STUCK, eventually, serving
from kit.threads import (
    AnyHandler,
    Gate,
    Handle,
    UpperThreadDatagramHandler,
    threads_ended,
)
from trioserver import (
    ConnectionLostError,
    NamelessPeerError,
    ThreadingUDPServer,
    ThreadingUnixDatagramServer,
    UDPServer,
)


def handling_datagrams(handle: Handle) -> type[socketserver.BaseRequestHandler]:
    """Return a handler class for datagrams that does *handle*."""

    class Handler(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            handle(self)

    return Handler


async def test_answers_a_datagram() -> None:
    server = ThreadingUDPServer(LOOPBACK, UpperThreadDatagramHandler)
    async with serving(server):
        with open_client(server) as client:
            replies = [await ask(client, b"one"), await ask(client, b"two")]

    assert replies == [b"ONE", b"TWO"]
    assert server.thread_limiter.borrowed_tokens == 0
    assert server.statistics().handled == 2


async def test_datagrams_are_handled_at_once() -> None:
    gate = Gate()

    def answer(handler: AnyHandler) -> None:
        data, sock = handler.request
        gate.wait()
        sock.sendto(data, handler.client_address)

    async with serving(ThreadingUDPServer(LOOPBACK, handling_datagrams(answer))) as (
        server
    ):
        with open_client(server) as client:
            for data in (b"one", b"two"):
                await client.send(data)
            await gate.wait_inside(2)
            gate.open()
            replies = {await client.recv(100), await client.recv(100)}

    assert replies == {b"one", b"two"}


async def test_the_shared_socket_stays_non_blocking_whatever_the_handler_does() -> None:
    seen: list[object] = []

    def answer(handler: AnyHandler) -> None:
        data, sock = handler.request
        seen.append(isinstance(sock, socket.socket))
        sock.setblocking(True)
        sock.settimeout(None)
        seen.append(sock.gettimeout() > 0)
        with sock.dup() as another:
            another.sendto(data, 0, handler.client_address)
        sock.setblocking(False)
        sock.sendto(data, handler.client_address)

    async with serving(ThreadingUDPServer(LOOPBACK, handling_datagrams(answer))) as (
        server
    ):
        with open_client(server) as client:
            assert await ask(client, b"hello") == b"hello"
            assert await client.recv(100) == b"hello"
            with pytest.raises(BlockingIOError):
                server.socket.recv(1)
            assert await ask(client, b"again") == b"again"
            assert await client.recv(100) == b"again"

    assert seen == [True, True] * 2


@pytest.mark.parametrize(
    ("wildcard", "host"),
    [("0.0.0.0", "127.0.0.2"), ("::", "::1")],  # noqa: S104  # wildcards on purpose
)
async def test_replies_leave_from_the_address_that_was_asked(
    wildcard: str, host: str
) -> None:
    server = ThreadingUDPServer((wildcard, 0), UpperThreadDatagramHandler)
    async with serving(server):
        with trio.socket.socket(server.address_family, socket.SOCK_DGRAM) as client:
            # A connected socket hears nobody but whom it is connected to.
            await client.connect((host, server.server_address[1]))
            assert await ask(client, b"hello") == b"HELLO"


async def test_flags_may_stand_before_the_address() -> None:
    def answer(handler: AnyHandler) -> None:
        data, sock = handler.request
        sock.sendto(data.upper(), socket.MSG_DONTWAIT, handler.client_address)

    server = ThreadingUDPServer(("0.0.0.0", 0), handling_datagrams(answer))  # noqa: S104  # a wildcard on purpose
    async with serving(server):
        with trio.socket.socket(type=socket.SOCK_DGRAM) as client:
            await client.connect(("127.0.0.1", server.server_address[1]))
            assert await ask(client, b"hello") == b"HELLO"


async def test_wrong_arguments_are_refused_as_by_any_socket() -> None:
    errors: list[object] = []

    def answer(handler: AnyHandler) -> None:
        data, sock = handler.request
        for arguments in ((), (0, 0, handler.client_address)):
            try:
                sock.sendto(data, *arguments)
            except (TypeError, ValueError) as error:
                errors.append(error)
        sock.sendto(data, handler.client_address)

    for host in ("0.0.0.0", "127.0.0.1"):  # noqa: S104  # a wildcard on purpose
        server = ThreadingUDPServer((host, 0), handling_datagrams(answer))
        async with serving(server):
            with trio.socket.socket(type=socket.SOCK_DGRAM) as client:
                await client.connect(("127.0.0.1", server.server_address[1]))
                assert await ask(client, b"hello") == b"hello"

    assert len(errors) == 4


async def test_a_truncated_datagram_is_no_request(
    caplog: pytest.LogCaptureFixture,
) -> None:
    class Server(ThreadingUDPServer):
        max_packet_size = 4

    server = Server(LOOPBACK, UpperThreadDatagramHandler)
    async with serving(server):
        with open_client(server) as client:
            await client.send(b"too long")
            assert await ask(client, b"good") == b"GOOD"
        await eventually(lambda: not server.requests_in_flight)

    assert "Dropped a datagram" in caplog.text
    assert (server.statistics().truncated, server.statistics().handled) == (1, 1)


async def test_a_plain_handle_truncated_runs_in_the_thread() -> None:
    threads: list[int] = []

    class Server(ThreadingUDPServer):
        max_packet_size = 4

        def handle_truncated(self, request: object, client_address: object) -> None:  # type: ignore[override]  # in a thread
            threads.append(threading.get_ident())

    server = Server(LOOPBACK, UpperThreadDatagramHandler)
    async with serving(server):
        with open_client(server) as client:
            await client.send(b"too long")
            await eventually(lambda: threads)

    assert threading.get_ident() not in threads


async def test_a_refused_datagram_leaves_no_descriptor() -> None:
    class Server(ThreadingUDPServer):
        async def verify_request(self, *_: object) -> bool:
            return False

    server = Server(LOOPBACK, UpperThreadDatagramHandler)
    async with serving(server):
        with open_client(server) as client:
            await client.send(b"hello")
            await eventually(lambda: server.statistics().received)
            await eventually(lambda: not server.requests_in_flight)

    assert server.thread_limiter.borrowed_tokens == 0


async def test_an_abandoned_thread_can_still_answer() -> None:
    gate = Gate()

    class Server(ThreadingUDPServer):
        daemon_threads = True

    def answer(handler: AnyHandler) -> None:
        gate.wait()
        handler.request[1].sendto(b"late", handler.client_address)

    server = Server(LOOPBACK, handling_datagrams(answer))
    with trio.fail_after(STUCK), open_client(server) as client:
        async with trio.open_nursery() as nursery:
            await nursery.start(server.serve)
            await client.send(b"hello")
            await gate.wait_inside(1)
            nursery.cancel_scope.cancel()
        gate.open()
        assert await client.recv(100) == b"late"
        await threads_ended(server)


async def test_a_client_without_a_name_cannot_be_answered(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """There, it is a `TypeError` with a traceback, which any client can cause."""
    caplog.set_level(logging.INFO, "trioserver")
    server = ThreadingUnixDatagramServer(
        tmp_path / "socket", UpperThreadDatagramHandler
    )
    async with serving(server):
        with open_client(server) as client:
            await client.send(b"hello")
            await eventually(lambda: caplog.records)

    (record,) = caplog.records
    assert record.levelname == "INFO"
    assert NamelessPeerError.__name__ in record.getMessage()


async def test_a_client_that_is_gone_is_no_news(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG, "trioserver")
    gate = Gate()

    def answer(handler: AnyHandler) -> None:
        gate.wait()
        handler.request[1].sendto(b"hello", handler.client_address)

    server = ThreadingUnixDatagramServer(
        tmp_path / "socket", handling_datagrams(answer)
    )
    async with serving(server):
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as client:
            client.bind(str(tmp_path / "client"))
            client.sendto(b"hello", server.server_address)
            await gate.wait_inside(1)
        (tmp_path / "client").unlink()
        gate.open()
        await eventually(lambda: caplog.records)

    (record,) = caplog.records
    assert record.levelname == "DEBUG"
    assert ConnectionLostError.__name__ in record.getMessage()


async def test_a_reply_that_is_too_long_is_an_error(
    caplog: pytest.LogCaptureFixture,
) -> None:
    def answer(handler: AnyHandler) -> None:
        handler.request[1].sendto(bytes(70_000), handler.client_address)

    server = ThreadingUDPServer(LOOPBACK, handling_datagrams(answer))
    async with serving(server):
        with open_client(server) as client:
            await client.send(b"hello")
            await eventually(lambda: caplog.records)

    assert "Message too long" in caplog.text


async def test_requests_of_a_plain_server_are_as_before() -> None:
    seen: list[object] = []

    async def handle(request: tuple[object, object], *_: object) -> None:
        seen.append(isinstance(request[1], socket.socket))

    async with serving(UDPServer(LOOPBACK, handle)) as server:
        with open_client(server) as client:
            await client.send(b"hello")
            await eventually(lambda: seen)

    assert seen == [False]
