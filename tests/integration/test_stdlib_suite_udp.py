"""The standard library's own test of `UDPServer`, translated.

It keeps its name from CPython's ``Lib/test/test_socketserver.py`` (3.13).
"""

from __future__ import annotations

import pytest
import trio

from kit.datagrams import open_unconnected
from kit.serving import LOOPBACK, STUCK
from trioserver import DatagramRequestHandler, UDPServer

LINE = b"hello world\n"


class EchoLineHandler(DatagramRequestHandler):
    """Sends one line back."""

    async def handle(self) -> None:
        line = self.rfile.readline()
        self.wfile.write(line)


async def test_UDPServer(  # noqa: N802  # the standard library's name
    caplog: pytest.LogCaptureFixture,
) -> None:
    """There, an error in a handler is raised again. Here, nothing may be logged."""
    server = UDPServer(LOOPBACK, EchoLineHandler)
    assert server.server_address == server.socket.getsockname()

    replies = []
    with trio.fail_after(STUCK):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(server.serve_forever)
            for _ in range(3):
                with open_unconnected() as client:
                    await client.sendto(LINE, server.server_address)
                    replies.append(await client.recv(100))
            await server.shutdown()
        await server.server_close()

    assert replies == [LINE] * 3
    assert server.socket.fileno() == -1
    assert caplog.records == []
