"""The standard library's own tests of socketserver, translated as far as TCP goes.

The tests keep their names from CPython's ``Lib/test/test_socketserver.py`` (3.13). A
docstring says where the meaning had to change. Of the 27 tests, 12 are here. The
others stand beside, in files of their own.
"""

from __future__ import annotations

import socketserver

import pytest
import trio

import trioserver
from kit.serving import LOOPBACK, STUCK, connect, receive_all, receive_line
from trioserver import BaseRequestHandler, Connection, StreamRequestHandler, TCPServer

# As CPython's test.support has it: more than the kernel buffers for any socket, so
# that whoever writes it has to wait.
SOCK_MAX_SIZE = 16 * 1024 * 1024 + 1


# SocketServerTest


class EchoLineHandler(StreamRequestHandler):
    """Sends one line back."""

    async def handle(self) -> None:
        line = await self.rfile.readline()
        await self.wfile.write(line)


async def test_TCPServer(  # noqa: N802  # the standard library's name
    caplog: pytest.LogCaptureFixture,
) -> None:
    """There, an error in a handler is raised again. Here, nothing may be logged."""
    server = TCPServer(LOOPBACK, EchoLineHandler)
    assert server.server_address == server.socket.getsockname()

    replies = []
    with trio.fail_after(STUCK):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(server.serve_forever)
            for _ in range(3):
                async with await connect(server) as client:
                    await client.send_all(b"hello world\n")
                    replies.append(await receive_line(client))
            await server.shutdown()
        await server.server_close()

    assert replies == [b"hello world\n"] * 3
    assert server.socket.fileno() == -1
    assert caplog.records == []


async def test_shutdown() -> None:
    """Like bpo-2302: it always ends ``serve_forever``, however early it comes.

    There, the loop has begun in another thread, or is about to. Here it has surely not
    begun: a task starts at the next checkpoint. So `shutdown` cannot wait for the loop,
    and is remembered instead.
    """
    servers = [TCPServer(LOOPBACK, StreamRequestHandler) for _ in range(20)]

    with trio.fail_after(STUCK):
        async with trio.open_nursery() as nursery:
            for server in servers:
                nursery.start_soon(server.serve_forever)
                await server.shutdown()
        for server in servers:
            await server.server_close()

    assert {server.fileno() for server in servers} == {-1}


async def test_close_immediately() -> None:
    """There it is of a threading server; nothing in it is about threads."""
    server = TCPServer(LOOPBACK, lambda: None)  # type: ignore[misc, arg-type]  # as there: it is never called

    with trio.fail_after(STUCK):
        await server.server_close()

    assert server.fileno() == -1


def test_tcpserver_bind_leak() -> None:
    """Like bpo-22435: a failed bind closes its socket, 1024 times."""
    host, _ = LOOPBACK

    for _ in range(1024):
        with pytest.raises(OverflowError):
            TCPServer((host, -1), StreamRequestHandler)


def test_context_manager() -> None:
    """As there, outside of Trio: a server that never served has nothing to wait for."""
    with TCPServer(LOOPBACK, StreamRequestHandler) as server:
        pass

    assert server.socket.fileno() == -1


async def test_context_manager_asynchronous() -> None:
    """The same for ``async with``, which the standard library has not."""
    with trio.fail_after(STUCK):
        async with TCPServer(LOOPBACK, StreamRequestHandler) as server:
            pass

    assert server.socket.fileno() == -1


# ErrorHandlerTest


class BadHandler(BaseRequestHandler):
    async def handle(self) -> None:
        self.server.log.append("Handler called")
        message = "Test error"
        raise self.server.exception(message)


class ErrorTestServer(TCPServer):
    """Handles one request, which raises; notes what is called.

    There it serves in its constructor, and notes in a file, for its forked children.
    """

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

    async def handle_error(self, *_: object) -> None:
        self.log.append("Error handled")


async def test_sync_handled() -> None:
    server = ErrorTestServer(ValueError)

    await server.serve_one()

    assert server.log == ["Handler called", "Error handled"]


async def test_sync_not_handled() -> None:
    """The exit leaves ``handle_request`` as itself, not in a group."""
    server = ErrorTestServer(SystemExit)

    with pytest.raises(SystemExit):
        await server.serve_one()

    assert server.log == ["Handler called"]


# SocketWriterTest


async def test_basics() -> None:
    """There, ``wfile`` is an `io.BufferedIOBase` with the descriptor of the request.

    An asynchronous file can be no `io.BufferedIOBase`. The descriptor is the socket's,
    and ``wfile`` has only what cannot pass its buffer by.
    """
    seen: list[object] = []

    class Handler(StreamRequestHandler):
        async def handle(self) -> None:
            seen.append(self.wfile)
            seen.append(self.connection is self.request)
            seen.append(self.request.socket.fileno() > 2)

    server = TCPServer(LOOPBACK, Handler)
    with trio.fail_after(STUCK):
        async with await connect(server):
            pass
        await server.handle_request()
        await server.server_close()

    wfile, *connections = seen
    assert isinstance(wfile, trioserver.BufferedWriter)
    assert connections == [True, True]


async def test_write() -> None:
    """A write is visible without a flush, and complete under back-pressure.

    There, signals interrupt the big write. No system call of Trio's blocks, so nothing
    is left to interrupt; but the write has to wait for room again and again.
    """
    sent: list[int] = []
    received: list[bytes] = []

    class Handler(StreamRequestHandler):
        async def handle(self) -> None:
            sent.append(await self.wfile.write(b"write data\n"))
            # The client answers what it has seen: it was sent without a flush.
            received.append(await self.rfile.readline())
            sent.append(await self.wfile.write(bytes(SOCK_MAX_SIZE)))

    server = TCPServer(LOOPBACK, Handler)
    with trio.fail_after(STUCK):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(server.handle_request)
            async with await connect(server) as client:
                first = await receive_line(client)
                await client.send_all(b"client response\n")
                # Nobody reads: the writer is stuck until somebody does.
                await trio.testing.wait_all_tasks_blocked()
                unfinished = list(sent)
                rest = await receive_all(client)
        await server.server_close()

    assert first == b"write data\n"
    assert received == [b"client response\n"]
    assert unfinished == [len(first)]
    assert sent == [len(first), SOCK_MAX_SIZE]
    assert rest == bytes(SOCK_MAX_SIZE)


# MiscTestCase


def test_all() -> None:
    defined_here = {
        name
        for name in dir(trioserver)
        if not name.startswith("_")
        and getattr(getattr(trioserver, name), "__module__", None) == "trioserver"
    }

    assert set(trioserver.__all__) == defined_here
    assert len(trioserver.__all__) == len(set(trioserver.__all__))


def test_all_has_every_name_of_socketserver() -> None:
    """The forking Unix servers joined `socketserver` in Python 3.12."""
    assert set(socketserver.__all__) <= set(trioserver.__all__)


async def test_shutdown_request_called_if_verify_request_false() -> None:
    """Like bpo-26309."""
    shut_down: list[Connection] = []

    class Server(TCPServer):
        async def verify_request(self, *_: object) -> bool:
            return False

        async def shutdown_request(self, request: Connection) -> None:
            shut_down.append(request)
            await super().shutdown_request(request)

    server = Server(LOOPBACK, StreamRequestHandler)
    with trio.fail_after(STUCK):
        async with await connect(server):
            pass
        await server.handle_request()
        await server.server_close()

    assert len(shut_down) == 1


async def test_threads_reaped() -> None:
    """Like bpo-37193: nothing is kept of requests that have ended.

    There, of a list of ten threads less than ten must be left. Here, no request.
    """
    server = TCPServer(LOOPBACK, StreamRequestHandler)

    in_flight = []
    with trio.fail_after(STUCK):
        for _ in range(10):
            async with await connect(server) as client:
                await client.send_eof()
                await server.handle_request()
            in_flight.append(server.requests_in_flight)
        await server.server_close()

    assert in_flight == [0] * 10
