"""EasyNetwork on asyncio: https://easynetwork.readthedocs.io/en/stable/howto/tcp_servers.html."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from typing import Final, Literal

from easynetwork.protocol import DatagramProtocol, StreamProtocol
from easynetwork.serializers import StringLineSerializer
from easynetwork.servers import AsyncTCPNetworkServer, AsyncUDPNetworkServer
from easynetwork.servers.handlers import (
    AsyncDatagramClient,
    AsyncDatagramRequestHandler,
    AsyncStreamClient,
    AsyncStreamRequestHandler,
)

from benchmarks.peers.service import HOST, announce
from benchmarks.peers.termination import wait_terminated

# Its serializer of lines takes text.
ENCODING: Final = "ascii"


class EchoHandler(AsyncStreamRequestHandler):
    """Sends each line back."""

    async def handle(self, client: AsyncStreamClient) -> AsyncGenerator[None, str]:
        line = yield
        await client.send_packet(line)


class EchoDatagramHandler(AsyncDatagramRequestHandler):
    """Sends each datagram back."""

    async def handle(self, client: AsyncDatagramClient) -> AsyncGenerator[None, str]:
        line = yield
        await client.send_packet(line)


Backend = Literal["asyncio", "trio"]


def line_server(backend: Backend) -> AsyncTCPNetworkServer:
    """Return a server of lines."""
    protocol = StreamProtocol(StringLineSerializer(encoding=ENCODING))
    return AsyncTCPNetworkServer(HOST, 0, protocol, EchoHandler(), backend)


def datagram_server(backend: Backend) -> AsyncUDPNetworkServer:
    """Return a server of datagrams."""
    protocol = DatagramProtocol(StringLineSerializer(encoding=ENCODING, keep_end=True))
    return AsyncUDPNetworkServer(HOST, 0, protocol, EchoDatagramHandler(), backend)


class UpEvent:
    """Is set when the server has its addresses, and announces the first."""

    def __init__(self, server: AsyncTCPNetworkServer | AsyncUDPNetworkServer) -> None:
        self.server = server

    def set(self) -> None:
        announce(self.server.get_addresses()[0].port)


async def serve(server: AsyncTCPNetworkServer | AsyncUDPNetworkServer) -> None:
    """Serve until SIGTERM."""
    async with server:
        serving = asyncio.create_task(server.serve_forever(is_up_event=UpEvent(server)))
        await wait_terminated()
        serving.cancel()


SERVICES = {
    "lines": lambda: asyncio.run(serve(line_server("asyncio"))),
    "datagrams": lambda: asyncio.run(serve(datagram_server("asyncio"))),
}
