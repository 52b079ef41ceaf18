"""asyncio's protocols: callbacks, and no task for a connection.

https://docs.python.org/3/library/asyncio-protocol.html#tcp-echo-server
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import cast

from benchmarks.peers.service import HOST, announce, reply_to
from benchmarks.peers.termination import wait_terminated


class EchoProtocol(asyncio.Protocol):
    """Sends each line back."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)
        self.rest = b""

    def data_received(self, data: bytes) -> None:
        *lines, self.rest = (self.rest + data).split(b"\n")
        for line in lines:
            self.line_received(line + b"\n")

    def line_received(self, line: bytes) -> None:
        self.transport.write(line)


class ReplyProtocol(EchoProtocol):
    """Answers each line with many bytes."""

    def line_received(self, line: bytes) -> None:
        self.transport.write(reply_to(line))


class EchoDatagramProtocol(asyncio.DatagramProtocol):
    """Sends each datagram back."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.DatagramTransport", transport)

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        self.transport.sendto(data, addr)


async def serve(protocol: type[asyncio.Protocol]) -> None:
    """Serve until SIGTERM."""
    server = await asyncio.get_running_loop().create_server(protocol, HOST, 0)
    announce(server.sockets[0].getsockname()[1])
    await wait_terminated()
    server.close()


async def serve_datagrams() -> None:
    """Serve until SIGTERM."""
    transport, _ = await asyncio.get_running_loop().create_datagram_endpoint(
        EchoDatagramProtocol, local_addr=(HOST, 0)
    )
    announce(transport.get_extra_info("sockname")[1])
    await wait_terminated()
    transport.close()


def services(
    run: Callable[[Coroutine[object, object, None]], object],
) -> dict[str, Callable[[], object]]:
    """Return the services on the event loop that *run* makes."""
    return {
        "lines": lambda: run(serve(EchoProtocol)),
        "replies": lambda: run(serve(ReplyProtocol)),
        "datagrams": lambda: run(serve_datagrams()),
    }


SERVICES = services(asyncio.run)
