"""`trio.serve_tcp`, as Trio's tutorial has it.

https://trio.readthedocs.io/en/stable/tutorial.html#an-echo-server
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from functools import partial

import trio

from benchmarks.peers.service import HOST, announce, reply_to
from benchmarks.peers.termination import serve_until_terminated


async def echo(stream: trio.SocketStream) -> None:
    """Send each line back. To split what comes into lines, Trio leaves to its users."""
    rest = b""
    async for data in stream:
        *lines, rest = (rest + data).split(b"\n")
        for line in lines:
            await stream.send_all(line + b"\n")


async def reply(stream: trio.SocketStream) -> None:
    """Answer each line with many bytes."""
    rest = b""
    async for data in stream:
        *lines, rest = (rest + data).split(b"\n")
        for line in lines:
            await stream.send_all(reply_to(line))


def serve(handler: Callable[[trio.SocketStream], Awaitable[object]]) -> None:
    """Serve until SIGTERM."""

    async def main() -> None:
        listeners = await trio.open_tcp_listeners(0, host=HOST)
        announce(listeners[0].socket.getsockname()[1])
        await serve_until_terminated(partial(trio.serve_listeners, handler, listeners))

    trio.run(main)


async def serve_datagrams() -> None:
    """Answer each datagram where it is received, in one task."""
    with trio.socket.socket(type=trio.socket.SOCK_DGRAM) as sock:
        await sock.bind((HOST, 0))
        announce(sock.getsockname()[1])
        while True:
            data, address = await sock.recvfrom(65536)
            await sock.sendto(data, address)


SERVICES = {
    "lines": lambda: serve(echo),
    "replies": lambda: serve(reply),
    "datagrams": lambda: trio.run(serve_until_terminated, serve_datagrams),
}
