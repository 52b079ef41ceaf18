"""The standard library's own tests of its threading servers, translated.

As in ``test_stdlib_suite.py``: the tests keep their names from CPython's
``Lib/test/test_socketserver.py`` (3.13). The handlers are the standard library's.
"""

from __future__ import annotations

import io
import signal
import socket
import socketserver
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
import trio

from kit.serving import LOOPBACK, STUCK, connect, receive_all, receive_line
from kit.threads import AnyHandler, handling, threads_ended
from trioserver import (
    TCPServer,
    ThreadingTCPServer,
    ThreadingUDPServer,
    ThreadingUnixDatagramServer,
    ThreadingUnixStreamServer,
    UDPServer,
)

TEST_STR = b"hello world\n"

# As CPython's test.support has it: more than the kernel buffers for any socket.
SOCK_MAX_SIZE = 16 * 1024 * 1024 + 1


class EchoLineHandler(socketserver.StreamRequestHandler):
    """Sends one line back."""

    def handle(self) -> None:
        self.wfile.write(self.rfile.readline())


class EchoDatagramHandler(socketserver.DatagramRequestHandler):
    """Sends one line back."""

    def handle(self) -> None:
        self.wfile.write(self.rfile.readline())


async def stream_replies(server: TCPServer) -> list[bytes]:
    """Return what three clients get, one after another; then stop the server."""
    replies = []
    with trio.fail_after(STUCK):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(server.serve_forever)
            for _ in range(3):
                async with await connect(server) as client:
                    await client.send_all(TEST_STR)
                    replies.append(await receive_line(client))
            await server.shutdown()
        await server.server_close()
    return replies


async def datagram_replies(server: UDPServer, names: list[object]) -> list[bytes]:
    """As above, with clients that are bound to *names*."""
    replies = []
    with trio.fail_after(STUCK):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(server.serve_forever)
            for name in names:
                sock = socket.socket(server.address_family, socket.SOCK_DGRAM)
                sock.bind(name)  # type: ignore[arg-type]  # of either family
                with trio.socket.from_stdlib_socket(sock) as client:
                    await client.sendto(TEST_STR, server.server_address)
                    replies.append(await client.recv(100))
            await server.shutdown()
        await server.server_close()
    return replies


# SocketServerTest


async def test_ThreadingTCPServer(  # noqa: N802  # the standard library's name
    caplog: pytest.LogCaptureFixture,
) -> None:
    """There, no thread may dangle; here, none may hold a token either."""
    server = ThreadingTCPServer(LOOPBACK, EchoLineHandler)

    assert await stream_replies(server) == [TEST_STR] * 3

    assert server.socket.fileno() == -1
    assert server.thread_limiter.borrowed_tokens == 0
    assert caplog.records == []


async def test_ThreadingUnixStreamServer(  # noqa: N802  # as above
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    server = ThreadingUnixStreamServer(str(tmp_path / "x.sock"), EchoLineHandler)

    assert await stream_replies(server) == [TEST_STR] * 3

    assert server.socket.fileno() == -1
    assert server.thread_limiter.borrowed_tokens == 0
    assert caplog.records == []


async def test_ThreadingUDPServer(  # noqa: N802  # as above
    caplog: pytest.LogCaptureFixture,
) -> None:
    server = ThreadingUDPServer(LOOPBACK, EchoDatagramHandler)

    assert await datagram_replies(server, [LOOPBACK] * 3) == [TEST_STR] * 3

    assert server.socket.fileno() == -1
    assert server.thread_limiter.borrowed_tokens == 0
    assert caplog.records == []


async def test_ThreadingUnixDatagramServer(  # noqa: N802  # as above
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    server = ThreadingUnixDatagramServer(str(tmp_path / "x.sock"), EchoDatagramHandler)
    names: list[object] = [str(tmp_path / f"client{number}") for number in range(3)]

    assert await datagram_replies(server, names) == [TEST_STR] * 3

    assert server.socket.fileno() == -1
    assert server.thread_limiter.borrowed_tokens == 0
    assert caplog.records == []


async def test_close_immediately() -> None:
    server = ThreadingTCPServer(LOOPBACK, lambda: None)  # type: ignore[misc, arg-type]  # as there: it is never called

    with trio.fail_after(STUCK):
        await server.server_close()

    assert server.fileno() == -1


# ErrorHandlerTest


class BadHandler(socketserver.BaseRequestHandler):
    server: ThreadingErrorTestServer  # type: ignore[assignment]  # of ours

    def handle(self) -> None:
        self.server.log.append("Handler called")
        message = "Test error"
        raise self.server.exception(message)


class ThreadingErrorTestServer(ThreadingTCPServer):
    """Handles one request, which raises; notes what is called."""

    def __init__(self, exception: type[BaseException]) -> None:
        self.exception = exception
        self.log: list[str] = []
        super().__init__(LOOPBACK, BadHandler)

    async def serve_one(self) -> None:
        with trio.fail_after(STUCK):
            async with await connect(self):
                pass
            try:
                await self.handle_request()
            finally:
                await self.server_close()

    def handle_error(self, *_: object) -> None:  # type: ignore[override]  # in a thread
        self.log.append("Error handled")


async def test_threading_handled() -> None:
    server = ThreadingErrorTestServer(ValueError)

    await server.serve_one()

    assert server.log == ["Handler called", "Error handled"]


async def test_threading_not_handled() -> None:
    """There, ``threading.excepthook`` gets the exit. Here, it leaves as itself."""
    server = ThreadingErrorTestServer(SystemExit)

    with pytest.raises(SystemExit):
        await server.serve_one()

    assert server.log == ["Handler called"]


# SocketWriterTest


async def test_basics() -> None:
    seen: list[object] = []

    def look(self: AnyHandler) -> None:
        seen.append(isinstance(self.wfile, io.BufferedIOBase))
        seen.append(self.wfile.fileno() == self.request.fileno())

    server = ThreadingTCPServer(LOOPBACK, handling(look))
    with trio.fail_after(STUCK):
        async with await connect(server):
            pass
        await server.handle_request()
        await server.server_close()

    assert seen == [True, True]


@pytest.fixture
def signals() -> Iterator[list[int]]:
    """Yield a list that grows by one with each SIGUSR1."""
    seen: list[int] = []
    before = signal.signal(signal.SIGUSR1, lambda number, _: seen.append(number))
    yield seen
    signal.signal(signal.SIGUSR1, before)


class WritingHandler(socketserver.StreamRequestHandler):
    server: WritingServer  # type: ignore[assignment]  # of ours

    def handle(self) -> None:
        self.server.ident = threading.get_ident()
        self.server.sent.append(self.wfile.write(b"write data\n"))
        # The client answers what it has seen: it was sent without a flush.
        self.server.received.append(self.rfile.readline())
        self.server.sent.append(self.wfile.write(bytes(SOCK_MAX_SIZE)))


class WritingServer(ThreadingTCPServer):
    """Writes something, and then a lot."""

    def __init__(self) -> None:
        self.ident = 0
        self.sent: list[int] = []
        self.received: list[bytes] = []
        super().__init__(LOOPBACK, WritingHandler)

    def interrupt(self) -> None:
        """Send a signal to the thread of the handler."""
        signal.pthread_kill(self.ident, signal.SIGUSR1)


async def receive_interrupting(
    server: WritingServer, client: trio.SocketStream
) -> bytes:
    """Return all that *client* is sent, and interrupt the sender in its midst."""
    server.interrupt()
    received = bytearray()
    while len(received) < SOCK_MAX_SIZE // 2:
        received += await client.receive_some()
    server.interrupt()
    return bytes(received) + await receive_all(client)


async def test_write(signals: list[int]) -> None:
    """A write is visible without a flush, and complete although signals come.

    There, they come to the thread of the server. Here, to its handler's.
    """
    server = WritingServer()
    with trio.fail_after(STUCK):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(server.handle_request)
            async with await connect(server) as client:
                first = await receive_line(client)
                await client.send_all(b"client response\n")
                rest = await receive_interrupting(server, client)
        await server.server_close()

    assert first == b"write data\n"
    assert server.received == [b"client response\n"]
    assert signals
    assert server.sent == [len(first), SOCK_MAX_SIZE]
    assert rest == bytes(SOCK_MAX_SIZE)


# MiscTestCase


async def test_threads_reaped() -> None:
    """Like bpo-37193: nothing is kept of threads that have ended.

    There, of a list of ten threads less than ten must be left. Here, no thread.
    """
    server = ThreadingTCPServer(LOOPBACK, EchoLineHandler)
    running = []
    with trio.fail_after(STUCK):
        for _ in range(10):
            async with await connect(server) as client:
                await client.send_eof()
                await server.handle_request()
            running.append(server.thread_limiter.borrowed_tokens)
        await threads_ended(server)
        await server.server_close()

    assert running == [0] * 10
