"""Send datagrams to a server, and receive the replies."""

from __future__ import annotations

import socket

import trio

from trioserver import (
    BaseRequestHandler,
    DatagramRequestHandler,
    DatagramSessionHandler,
    UDPServer,
    UDPSessionServer,
)

# No datagram of UDP over IPv4 has more bytes.
MAX_PAYLOAD = 65507


class UpperDatagramHandler(DatagramRequestHandler):
    """Answers each datagram in upper case."""

    async def handle(self) -> None:
        self.wfile.write(self.rfile.read().upper())


def open_client(server: UDPServer) -> trio.socket.SocketType:
    """Return a client's socket that is connected to *server*."""
    sock = socket.socket(server.address_family, socket.SOCK_DGRAM)
    sock.connect(server.server_address)  # which sends nothing, and cannot fail here
    return trio.socket.from_stdlib_socket(sock)


async def ask(client: trio.socket.SocketType, data: bytes) -> bytes:
    """Send a datagram, and return the one that comes back."""
    await client.send(data)
    return await client.recv(65536)


def receive_nowait(client: trio.socket.SocketType) -> bytes | None:
    """Return the datagram that has come to *client*, if one has.

    On loopback, what was sent is there.
    """
    with socket.socket(fileno=socket.dup(client.fileno())) as sock:
        sock.setblocking(False)
        try:
            return sock.recv(65536)
        except BlockingIOError:
            return None


def open_unconnected(family: int = socket.AF_INET) -> trio.socket.SocketType:
    """Return a client's socket that gets replies from anywhere."""
    return trio.socket.socket(family, socket.SOCK_DGRAM)


class GateDatagramHandler(DatagramRequestHandler):
    """Waits for the server's gate, and answers in upper case."""

    server: GateDatagramServer

    async def handle(self) -> None:
        self.wfile.write(self.packet.upper())
        self.server.events.append(b"begin " + self.packet)
        await self.server.gate.wait()
        self.server.events.append(b"end " + self.packet)


class GateDatagramServer(UDPServer):
    """Keeps its requests waiting until the gate is opened."""

    def __init__(self) -> None:
        self.gate = trio.Event()
        self.events: list[bytes] = []
        super().__init__(("127.0.0.1", 0), GateDatagramHandler)


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
        super().__init__(("127.0.0.1", 0), handler)
        for name, value in settings.items():
            setattr(self, name, value)
