"""Both ends of a connection, for tests of what reads and writes it."""

from __future__ import annotations

import os
import socket
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from contextvars import ContextVar

import trio

from kit.serving import STUCK, reset_on_close
from trioserver import Connection
from trioserver._streams.edge_poller import EdgePoller
from trioserver._streams.edge_readiness import EdgeReadiness
from trioserver._streams.readiness import Readiness

# The kernel rounds it up to its own least, a few KiB.
TINY_BYTES = 2048

# More than any of the small buffers holds.
PLENTY_BYTES = 1048576

# Full at once, and large enough for TCP to flow.
SMALL_BYTES = 16384


def socket_pair() -> tuple[socket.socket, socket.socket]:
    """Return two connected Unix sockets, with small buffers."""
    ours, theirs = socket.socketpair()
    _set_buffers(TINY_BYTES, ours, theirs)
    return ours, theirs


def tcp_pair(buffer_bytes: int | None = None) -> tuple[socket.socket, socket.socket]:
    """Return two connected TCP sockets.

    Small buffers make TCP wait for its timers whenever they are full, so that only
    tests that need a peer without room ask for them.
    """
    with socket.create_server(("127.0.0.1", 0)) as listener:
        theirs = socket.create_connection(listener.getsockname())
        ours, _ = listener.accept()
    if buffer_bytes is not None:
        _set_buffers(buffer_bytes, ours, theirs)
    return ours, theirs


def _set_buffers(size: int, *socks: socket.socket) -> None:
    for sock in socks:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, size)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, size)


# What connections of a test wait by; None is Trio's own way.
poller: ContextVar[EdgePoller | None] = ContextVar("poller", default=None)


def open_connection(
    sock: socket.socket, readiness: Readiness | None = None
) -> Connection:
    """Return a connection that waits as the test shall."""
    edges = poller.get()
    if readiness is None and edges is not None:
        readiness = EdgeReadiness(sock, edges)
    return Connection(sock, readiness=readiness)


@contextmanager
def connected(
    pair: tuple[socket.socket, socket.socket] | None = None,
    *,
    readiness: Readiness | None = None,
) -> Iterator[tuple[Connection, trio.SocketStream]]:
    """Lend a connection and the peer at its other end; by default, a Unix pair."""
    ours, theirs = pair or socket_pair()
    connection = open_connection(ours, readiness)
    peer = trio.SocketStream(trio.socket.from_stdlib_socket(theirs))
    try:
        yield connection, peer
    finally:
        connection.close()
        peer.socket.close()


@asynccontextmanager
async def watched() -> AsyncIterator[None]:
    """Fail when the block is stuck, with no deadline over what runs in it.

    A task under a deadline hurries, and that is not what every test wants.
    """
    async with trio.open_nursery() as nursery:
        nursery.start_soon(_give_up_when_stuck)
        yield
        nursery.cancel_scope.cancel()


async def _give_up_when_stuck() -> None:
    with trio.fail_after(STUCK):
        await trio.sleep_forever()


def fill(sock: socket.socket) -> int:
    """Send until *sock* would block. Return how much that was."""
    sent = 0
    while True:
        try:
            sent += sock.send(b"-" * 65536)
        except BlockingIOError:
            return sent


def drain(peer: trio.SocketStream) -> bytes:
    """Receive all that has arrived, without waiting for more."""
    with socket.socket(fileno=os.dup(peer.socket.fileno())) as sock:
        try:
            return sock.recv(PLENTY_BYTES, socket.MSG_DONTWAIT)
        except BlockingIOError:
            return b""


def reset(peer: trio.SocketStream) -> None:
    """Make the peer vanish: the next call at the other end fails."""
    reset_on_close(peer)
    peer.socket.close()
