"""Run a server for the length of a block, and talk to it."""

from __future__ import annotations

import socket
import struct
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import TypeVar

import trio

from trioserver import BaseServer, StreamRequestHandler, TCPServer

ServerT = TypeVar("ServerT", bound=BaseServer)

LOOPBACK = ("127.0.0.1", 0)

# Seconds after which a test that should have ended is stuck. Never waited for.
STUCK = 20


class UpperHandler(StreamRequestHandler):
    """Answers each line in upper case."""

    async def handle(self) -> None:
        async for line in self.rfile:
            await self.wfile.write(line.upper())


@asynccontextmanager
async def serving(server: ServerT) -> AsyncIterator[ServerT]:
    """Serve while the block runs, then shut down and wait for the end."""
    with trio.fail_after(STUCK):
        async with trio.open_nursery() as nursery:
            await nursery.start(server.serve)
            yield server
            await server.shutdown()


async def connect(server: TCPServer) -> trio.SocketStream:
    """Return a client's end of a new connection."""
    sock = trio.socket.socket(server.address_family)
    try:
        await sock.connect(server.server_address)
    except BaseException:
        sock.close()
        raise
    return trio.SocketStream(sock)


async def ask(client: trio.abc.Stream, line: bytes) -> bytes:
    """Send a line and return the line that comes back; what came, at the end."""
    await client.send_all(line)
    return await receive_line(client)


async def receive_line(client: trio.abc.ReceiveStream) -> bytes:
    """Return the next line, or what came before the end of the stream."""
    reply = b""
    while not reply.endswith(b"\n"):
        data = await client.receive_some(1)
        if not data:
            return reply
        reply += data
    return reply


async def receive_all(client: trio.abc.ReceiveStream) -> bytes:
    """Return everything up to the end of the stream."""
    return b"".join([data async for data in client])


async def eventually(condition: Callable[[], object]) -> None:
    """Let others run until *condition* holds."""
    while not condition():
        await trio.lowlevel.checkpoint()


def reset_on_close(client: trio.SocketStream | socket.socket) -> None:
    """Let the next close of *client* send a reset instead of an end-of-file."""
    sock = client.socket if isinstance(client, trio.SocketStream) else client
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


class GateHandler(StreamRequestHandler):
    """Reads a line, waits for the server's gate, and answers in upper case."""

    server: GateServer

    async def handle(self) -> None:
        line = await self.rfile.readline()
        await self.server.pass_gate()
        await self.wfile.write(line.upper())


class GateServer(TCPServer):
    """Keeps its requests waiting until the gate is opened."""

    def __init__(self, handler: type[StreamRequestHandler] = GateHandler) -> None:
        self.gate = trio.Event()
        self.inside = 0
        self.peak_inside = 0
        self.finished = 0
        self.cancelled = 0
        self._moved = trio.lowlevel.ParkingLot()
        super().__init__(LOOPBACK, handler)

    async def pass_gate(self) -> None:
        """Wait for the gate; count who does."""
        self.inside += 1
        self.peak_inside = max(self.peak_inside, self.inside)
        self._moved.unpark_all()
        try:
            await self.gate.wait()
            self.finished += 1
        except trio.Cancelled:
            self.cancelled += 1
            raise
        finally:
            self.inside -= 1

    async def wait_inside(self, count: int) -> None:
        """Wait until *count* requests wait for the gate."""
        while self.inside < count:
            await self._moved.park()
