"""Connections that wait by an epoll of their own, in tests of what comes of it."""

from __future__ import annotations

import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager

import trio
import trio.testing

from kit.serving import STUCK
from trioserver import Connection
from trioserver._streams.edge_poller import EdgePoller
from trioserver._streams.edge_readiness import EdgeReadiness
from unit.streams.pairs import tcp_pair

Pair = tuple[socket.socket, socket.socket]


@asynccontextmanager
async def polling() -> AsyncIterator[EdgePoller]:
    """Run a poller for the length of a block that may not get stuck."""
    poller = EdgePoller()
    with trio.fail_after(STUCK):
        async with poller.running():
            yield poller


@contextmanager
def linked(
    poller: EdgePoller, pair: Pair | None = None
) -> Iterator[tuple[Connection, socket.socket]]:
    """Lend a connection that waits by *poller*, and the peer's blocking socket."""
    ours, peer = pair or tcp_pair()
    with ours, peer:
        connection = Connection(ours, readiness=EdgeReadiness(ours, poller))
        try:
            yield connection, peer
        finally:
            connection.close()


@asynccontextmanager
async def waiting(
    wait: Callable[[], Awaitable[object]],
) -> AsyncIterator[list[object]]:
    """Let a task wait while the block runs. Collect what comes of it."""
    results: list[object] = []

    async def note() -> None:
        try:
            results.append(await wait())
        except (OSError, trio.BrokenResourceError, trio.ClosedResourceError) as error:
            results.append(error)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(note)
        await trio.testing.wait_all_tasks_blocked()
        assert results == []
        yield results


def receiving(connection: Connection) -> Callable[[], Awaitable[object]]:
    return lambda: connection.receive(100)


async def register(connection: Connection, peer: socket.socket) -> None:
    """Let *connection* wait once, and receive what it waits for."""
    async with waiting(receiving(connection)):
        peer.sendall(b"first")
