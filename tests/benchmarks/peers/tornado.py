"""Tornado: https://www.tornadoweb.org/en/stable/tcpserver.html."""

from __future__ import annotations

import asyncio

from tornado.iostream import IOStream, StreamClosedError
from tornado.netutil import bind_sockets
from tornado.tcpserver import TCPServer

from benchmarks.peers.service import HOST, announce, reply_to
from benchmarks.peers.termination import wait_terminated


class EchoServer(TCPServer):
    """Sends each line back."""

    async def handle_stream(self, stream: IOStream, _address: object) -> None:
        stream.set_nodelay(True)
        while True:
            try:
                line = await stream.read_until(b"\n")
                await stream.write(line)
            except StreamClosedError:
                break


class ReplyServer(TCPServer):
    """Answers each line with many bytes."""

    async def handle_stream(self, stream: IOStream, _address: object) -> None:
        while True:
            try:
                line = await stream.read_until(b"\n")
                await stream.write(reply_to(line))
            except StreamClosedError:
                break


async def serve(server: TCPServer) -> None:
    """Serve until SIGTERM."""
    sockets = bind_sockets(0, HOST)
    server.add_sockets(sockets)
    announce(sockets[0].getsockname()[1])
    await wait_terminated()
    server.stop()


SERVICES = {
    "lines": lambda: asyncio.run(serve(EchoServer())),
    "replies": lambda: asyncio.run(serve(ReplyServer())),
}
