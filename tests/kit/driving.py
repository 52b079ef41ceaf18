"""Drive a server object of the standard library's for the length of a block."""

from __future__ import annotations

import socket
import socketserver
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import partial
from typing import TypeVar, TypeVarTuple

import trio

from kit.serving import STUCK
from trioserver import serve_socketserver

ServerT = TypeVar("ServerT", bound=socketserver.TCPServer)
ResultT = TypeVar("ResultT")
PosArgsT = TypeVarTuple("PosArgsT")

# As many blocking clients as a test likes.
_clients = trio.CapacityLimiter(1000)


async def in_thread(
    function: Callable[[*PosArgsT], ResultT], *args: *PosArgsT
) -> ResultT:
    """Call a blocking *function* while Trio goes on."""
    return await trio.to_thread.run_sync(
        function, *args, limiter=_clients, abandon_on_cancel=True
    )


@asynccontextmanager
async def driving(
    server: ServerT,
    *,
    max_concurrent_requests: float | None = None,
    handshake_timeout: float = 60.0,
    poll_interval: float = 0.5,
    close: bool = True,
) -> AsyncIterator[ServerT]:
    """Serve while the block runs; then shut down, from a thread, and wait."""
    serve = partial(
        serve_socketserver,
        server,
        max_concurrent_requests=max_concurrent_requests,
        handshake_timeout=handshake_timeout,
        poll_interval=poll_interval,
        close=close,
    )
    with trio.fail_after(STUCK):
        async with trio.open_nursery() as nursery:
            started = await nursery.start(serve)
            assert started is server
            yield server
            await in_thread(server.shutdown)


def connect_blocking(server: socketserver.TCPServer) -> socket.socket:
    """Return a client's socket, connected to *server*; a read may take long."""
    address = server.socket.getsockname()
    return socket.create_connection(address[:2], timeout=STUCK)
