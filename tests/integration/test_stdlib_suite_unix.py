"""The standard library's own tests of its Unix servers, translated.

As in ``test_stdlib_suite.py``: the tests keep their names from CPython's
``Lib/test/test_socketserver.py`` (3.13).
"""

from __future__ import annotations

import socket
from pathlib import Path

import pytest
import trio

from kit.serving import STUCK, connect, receive_line
from trioserver import (
    DatagramRequestHandler,
    StreamRequestHandler,
    UnixDatagramServer,
    UnixStreamServer,
)

TEST_STR = b"hello world\n"


class EchoLineHandler(StreamRequestHandler):
    """Sends one line back."""

    async def handle(self) -> None:
        line = await self.rfile.readline()
        await self.wfile.write(line)


class EchoDatagramHandler(DatagramRequestHandler):
    """Sends one line back."""

    async def handle(self) -> None:
        self.wfile.write(self.rfile.readline())


async def test_UnixStreamServer(  # noqa: N802  # the standard library's name
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """There, the address is what ``getsockname()`` says, and the file stays.

    Here, that says the name from before the file was in its place.
    """
    path = str(tmp_path / "x.sock")
    server = UnixStreamServer(path, EchoLineHandler)
    assert server.server_address == path

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

    assert replies == [TEST_STR] * 3
    assert server.socket.fileno() == -1
    assert caplog.records == []


async def test_UnixDatagramServer(  # noqa: N802  # the standard library's name
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = str(tmp_path / "x.sock")
    server = UnixDatagramServer(path, EchoDatagramHandler)
    assert server.server_address == server.socket.getsockname()

    replies = []
    with trio.fail_after(STUCK):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(server.serve_forever)
            for number in range(3):
                sock = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
                # As there: a client that wants an answer needs a name.
                sock.bind(str(tmp_path / f"client{number}"))
                with trio.socket.from_stdlib_socket(sock) as client:
                    await client.sendto(TEST_STR, path)
                    replies.append(await client.recv(100))
            await server.shutdown()
        await server.server_close()

    assert replies == [TEST_STR] * 3
    assert server.socket.fileno() == -1
    assert caplog.records == []
