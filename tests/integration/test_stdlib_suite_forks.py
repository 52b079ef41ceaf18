"""The standard library's own tests of its forking servers, translated.

The tests keep their names from CPython's ``Lib/test/test_socketserver.py`` (3.13); see
``test_stdlib_suite.py`` for the others. There, those that serve run in a process of
their own, with an unrelated child that exits with 72 and must not be reaped by the
server (bpo-1540386). Here, the test itself is the parent of both.
"""

from __future__ import annotations

import os
import socket
import socketserver
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

import pytest
import trio

from kit import datagrams
from kit.forks import fork_and_exit
from kit.serving import LOOPBACK, STUCK, ask, connect
from trioserver import (
    BaseServer,
    ForkingTCPServer,
    ForkingUDPServer,
    ForkingUnixDatagramServer,
    ForkingUnixStreamServer,
    TCPServer,
)

TEST_STR = b"hello world\n"


class StreamEcho(socketserver.StreamRequestHandler):
    """Sends one line back, as the handler of the original."""

    def handle(self) -> None:
        line = self.rfile.readline()
        self.wfile.write(line)


class DatagramEcho(socketserver.DatagramRequestHandler):
    def handle(self) -> None:
        line = self.rfile.readline()
        self.wfile.write(line)


@contextmanager
def unrelated_child() -> Iterator[None]:
    """Have a child, which has exited with 72 when the block ends and is still there."""
    pid = fork_and_exit(72)
    try:
        yield
    finally:
        # None if somebody has reaped it.
        exited = os.waitid(os.P_PID, pid, os.WEXITED)
    assert exited is not None
    assert exited.si_status == 72


@asynccontextmanager
async def run_server(server: BaseServer) -> AsyncIterator[None]:
    """Serve as ``run_server`` does there: `serve_forever`, shutdown, close."""
    with trio.fail_after(STUCK):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(server.serve_forever, 0.01)
            yield
            await server.shutdown()
        await server.server_close()


async def check_streams(server: TCPServer) -> None:
    for _ in range(3):
        async with await connect(server) as client:
            assert await ask(client, TEST_STR) == TEST_STR
            # The child has this client, too: it gets no other end-of-file.
            await client.send_eof()


async def check_datagrams(server: ForkingUDPServer) -> None:
    for _ in range(3):
        with datagrams.open_client(server) as client:
            assert await datagrams.ask(client, TEST_STR) == TEST_STR


async def test_ForkingTCPServer(  # noqa: N802  # the standard library's name
    caplog: pytest.LogCaptureFixture,
) -> None:
    server = ForkingTCPServer(LOOPBACK, StreamEcho)
    with unrelated_child():
        async with run_server(server):
            await check_streams(server)

    assert server.socket.fileno() == -1
    assert not server.active_children
    assert caplog.records == []


async def test_ForkingUDPServer(  # noqa: N802  # the standard library's name
    caplog: pytest.LogCaptureFixture,
) -> None:
    server = ForkingUDPServer(LOOPBACK, DatagramEcho)
    with unrelated_child():
        async with run_server(server):
            await check_datagrams(server)

    assert server.socket.fileno() == -1
    assert not server.active_children
    assert caplog.records == []


async def test_ForkingUnixStreamServer(  # noqa: N802  # the standard library's name
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "x.sock"
    server = ForkingUnixStreamServer(str(path), StreamEcho)
    with unrelated_child():
        async with run_server(server):
            await check_streams(server)
            # No child has removed it.
            assert path.exists()

    assert server.socket.fileno() == -1
    assert not server.active_children
    assert caplog.records == []


async def test_ForkingUnixDatagramServer(  # noqa: N802  # the standard library's name
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = str(tmp_path / "x.sock")
    server = ForkingUnixDatagramServer(path, DatagramEcho)
    with unrelated_child():
        async with run_server(server):
            for number in range(3):
                sock = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
                # As there: a client that wants an answer needs a name.
                sock.bind(str(tmp_path / f"client{number}"))
                with trio.socket.from_stdlib_socket(sock) as client:
                    await client.sendto(TEST_STR, path)
                    assert await client.recv(100) == TEST_STR

    assert server.socket.fileno() == -1
    assert not server.active_children
    assert caplog.records == []


# ErrorHandlerTest


class BadHandler(socketserver.BaseRequestHandler):
    server: ErrorTestServer  # type: ignore[assignment]  # of the other library

    def handle(self) -> None:
        self.server.log("Handler called\n")
        message = "Test error"
        raise self.server.exception(message)


class ErrorTestServer(ForkingTCPServer):
    """Handles one request, which raises; notes in a file what is called."""

    def __init__(self, exception: Callable[[str], BaseException], path: Path) -> None:
        self.exception = exception
        self.path = path
        super().__init__(LOOPBACK, BadHandler)

    async def serve_one(self) -> str:
        with trio.fail_after(STUCK):
            async with await connect(self):
                pass
            await self.handle_request()
            await self.server_close()
        return self.path.read_text()

    def handle_error(self, *_: object) -> None:  # type: ignore[override]  # as there
        self.log("Error handled\n")

    def log(self, text: str) -> None:
        with self.path.open("a") as file:
            file.write(text)


async def test_forking_handled(tmp_path: Path) -> None:
    server = ErrorTestServer(ValueError, tmp_path / "log")

    assert await server.serve_one() == "Handler called\nError handled\n"


async def test_forking_not_handled(tmp_path: Path) -> None:
    """As there, an exit is that of the child alone."""
    server = ErrorTestServer(SystemExit, tmp_path / "log")

    assert await server.serve_one() == "Handler called\n"
