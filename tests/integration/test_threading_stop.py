"""What becomes of threads when their server stops: the table, cell by cell."""

from __future__ import annotations

import itertools
import socketserver
import threading

import attrs
import pytest
import trio

from kit.serving import (
    STUCK,
    connect,
    eventually,
)
from kit.threads import (
    threading_server,
    threads_ended,
)
from trioserver import ThreadingTCPServer

# Seconds in which nothing must happen. Too short, a test would pass by mistake; it
# never fails by mistake.
PATIENCE = 0.05


class Work:
    """What a handler does until it is released, and what is known about it."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.released = threading.Event()
        self.begun = 0
        self.is_over = False

    def handle(self, handler: socketserver.StreamRequestHandler) -> None:
        """Do it."""
        self.begun += 1
        getattr(self, self.name)(handler)
        self.is_over = True

    def reads(self, handler: socketserver.StreamRequestHandler) -> None:
        """Wait for the client."""
        handler.rfile.read()

    def computes(self, _: object) -> None:
        """Keep the processor busy, though not as busy as to slow the test down."""
        while not self.released.wait(0):
            sum(range(100))
            trio_may_run()

    def sleeps(self, _: object) -> None:
        """Wait for something that no server could know of."""
        assert self.released.wait(STUCK)

    async def release(self, client: trio.SocketStream) -> None:
        """Let the handler end by itself."""
        self.released.set()
        await client.send_eof()


def trio_may_run() -> None:
    """Give the interpreter away."""
    threading.Event().wait(0.0001)


@attrs.frozen
class Cell:
    """What has happened before the handler's own end, for one kind of work."""

    server_ended: bool
    handler_ended: bool


WAITS = Cell(server_ended=False, handler_ended=False)
GOES_ON = Cell(server_ended=True, handler_ended=False)
INTERRUPTED = Cell(server_ended=True, handler_ended=True)

# daemon_threads, block_on_close, how it is stopped: what becomes of a thread that
# reads, and of one that computes or sleeps. Where the server does not wait, the
# nursery that owns the requests does, unless they are daemons.
TABLE: dict[tuple[bool, bool, str], tuple[Cell, Cell]] = {
    (False, True, "shutdown"): (WAITS, WAITS),
    (False, False, "shutdown"): (GOES_ON, GOES_ON),
    (True, True, "shutdown"): (INTERRUPTED, GOES_ON),
    (True, False, "shutdown"): (INTERRUPTED, GOES_ON),
    (False, True, "cancel"): (INTERRUPTED, WAITS),
    (False, False, "cancel"): (INTERRUPTED, GOES_ON),
    (True, True, "cancel"): (INTERRUPTED, GOES_ON),
    (True, False, "cancel"): (INTERRUPTED, GOES_ON),
}


@attrs.define
class Stopping:
    """A server that serves in a task, and its end."""

    server: ThreadingTCPServer
    scope: trio.CancelScope = attrs.field(factory=trio.CancelScope)
    ended: trio.Event = attrs.field(factory=trio.Event)

    async def serve(
        self,
        nursery: trio.Nursery | None,
        *,
        task_status: trio.TaskStatus[object],
    ) -> None:
        """Serve, with the requests in a *nursery* that outlives the server, if any."""
        with self.scope:
            await self.server.serve(handler_nursery=nursery, task_status=task_status)
        self.ended.set()

    async def stop(self, how: str) -> None:
        """Begin to stop the server."""
        if how == "cancel":
            self.scope.cancel()
        else:
            await self.server.shutdown()


@pytest.mark.parametrize("name", ["reads", "computes", "sleeps"])
@pytest.mark.parametrize(
    ("row", "cells"), TABLE.items(), ids=["-".join(map(str, row)) for row in TABLE]
)
async def test_what_becomes_of_a_thread(
    row: tuple[bool, bool, str], cells: tuple[Cell, Cell], name: str
) -> None:
    daemon_threads, block_on_close, how = row
    expected = cells[0] if name == "reads" else cells[1]
    work = Work(name)
    server = threading_server(
        work.handle, daemon_threads=daemon_threads, block_on_close=block_on_close
    )
    stopping = Stopping(server)
    with trio.fail_after(STUCK):
        async with trio.open_nursery() as owner, trio.open_nursery() as nursery:
            await nursery.start(stopping.serve, owner)
            async with await connect(server) as client:
                await eventually(lambda: work.begun)
                await stopping.stop(how)
                if expected.server_ended:
                    await stopping.ended.wait()
                if expected.handler_ended:
                    await eventually(lambda: work.is_over)
                await trio.sleep(PATIENCE)
                seen = Cell(stopping.ended.is_set(), work.is_over)
                await work.release(client)
            await stopping.ended.wait()
        await threads_ended(server)

    assert seen == expected
    assert work.is_over
    assert server.requests_in_flight == 0


def test_the_table_has_every_cell() -> None:
    flags = (False, True)

    assert set(TABLE) == set(itertools.product(flags, flags, ("shutdown", "cancel")))


@pytest.mark.parametrize("how", ["shutdown", "cancel"])
@pytest.mark.parametrize("block_on_close", [False, True])
async def test_threads_that_are_no_daemons_end_before_serve_does(
    how: str, *, block_on_close: bool
) -> None:
    work = Work("sleeps")
    server = threading_server(work.handle, block_on_close=block_on_close)
    stopping = Stopping(server)
    with trio.fail_after(STUCK):
        async with trio.open_nursery() as nursery:
            await nursery.start(stopping.serve, None)
            async with await connect(server) as client:
                await eventually(lambda: work.begun)
                await stopping.stop(how)
                await trio.sleep(PATIENCE)
                ended_before = stopping.ended.is_set()
                await work.release(client)
            await stopping.ended.wait()
            over = work.is_over

    assert not ended_before
    assert over
