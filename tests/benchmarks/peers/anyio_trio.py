"""anyio on Trio: https://anyio.readthedocs.io/en/stable/networking.html."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from functools import partial

import anyio
from anyio.abc import SocketAttribute, SocketStream
from anyio.streams.buffered import BufferedByteReceiveStream

from benchmarks.peers.service import HOST, announce, reply_to
from benchmarks.peers.termination import serve_until_terminated

MAX_LINE_BYTES = 65536


async def echo(client: SocketStream) -> None:
    """Send each line back."""
    async with client:
        lines = BufferedByteReceiveStream(client)
        try:
            while True:
                line = await lines.receive_until(b"\n", MAX_LINE_BYTES)
                await client.send(line + b"\n")
        except anyio.IncompleteRead:
            pass


async def reply(client: SocketStream) -> None:
    """Answer each line with many bytes."""
    async with client:
        lines = BufferedByteReceiveStream(client)
        try:
            while True:
                line = await lines.receive_until(b"\n", MAX_LINE_BYTES)
                await client.send(reply_to(line))
        except anyio.IncompleteRead:
            pass


async def serve(handler: Callable[[SocketStream], Awaitable[None]]) -> None:
    """Serve until SIGTERM."""
    listener = await anyio.create_tcp_listener(local_host=HOST)
    announce(listener.extra(SocketAttribute.local_port))  # noqa: S610  # not Django's
    await serve_until_terminated(partial(listener.serve, handler))


async def serve_datagrams() -> None:
    """Answer each datagram where it is received, in one task."""
    async with await anyio.create_udp_socket(local_host=HOST) as udp:
        announce(udp.extra(SocketAttribute.local_port))  # noqa: S610  # not Django's
        async for packet, (host, port) in udp:
            await udp.sendto(packet, host, port)


SERVICES = {
    "lines": lambda: anyio.run(serve, echo, backend="trio"),
    "replies": lambda: anyio.run(serve, reply, backend="trio"),
    "datagrams": lambda: anyio.run(
        serve_until_terminated, serve_datagrams, backend="trio"
    ),
}
