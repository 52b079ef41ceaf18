"""Send datagrams to a server, and receive the replies."""

from __future__ import annotations

import socket

import trio

from trioserver import DatagramRequestHandler, UDPServer


class UpperDatagramHandler(DatagramRequestHandler):
    """Answers each datagram in upper case."""

    async def handle(self) -> None:
        self.wfile.write(self.rfile.read().upper())


def open_client(server: UDPServer) -> trio.socket.SocketType:
    """Return a client's socket that is connected to *server*."""
    sock = socket.socket(server.address_family, socket.SOCK_DGRAM)
    try:
        sock.connect(server.server_address)
    except BaseException:
        sock.close()
        raise
    return trio.socket.from_stdlib_socket(sock)


async def ask(client: trio.socket.SocketType, data: bytes) -> bytes:
    """Send a datagram, and return the one that comes back."""
    await client.send(data)
    return await client.recv(65536)
