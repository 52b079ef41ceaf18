"""This library, as its README shows it, with every default."""

from __future__ import annotations

import trio

import trioserver
from benchmarks.peers.service import HOST, announce, reply_to
from benchmarks.peers.termination import serve_until_terminated


class EchoHandler(trioserver.StreamRequestHandler):
    """Sends each line back."""

    async def handle(self) -> None:
        async for line in self.rfile:
            await self.wfile.write(line)


class ReplyHandler(trioserver.StreamRequestHandler):
    """Answers each line with many bytes."""

    async def handle(self) -> None:
        async for line in self.rfile:
            await self.wfile.write(reply_to(line))


class EchoDatagramHandler(trioserver.DatagramRequestHandler):
    """Sends a datagram back."""

    async def handle(self) -> None:
        self.wfile.write(self.rfile.read())


def serve(server: trioserver.TCPServer | trioserver.UDPServer) -> None:
    """Serve until SIGTERM."""
    announce(server.server_address[1])
    trio.run(serve_until_terminated, server.serve)


SERVICES = {
    "lines": lambda: serve(trioserver.TCPServer((HOST, 0), EchoHandler)),
    "replies": lambda: serve(trioserver.TCPServer((HOST, 0), ReplyHandler)),
    "datagrams": lambda: serve(trioserver.UDPServer((HOST, 0), EchoDatagramHandler)),
}
