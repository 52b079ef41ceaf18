"""Accepting takes a bounded batch, then others have a turn: nobody starves."""

from __future__ import annotations

import contextlib
import socket

import trio
import trio.testing

from kit.serving import LOOPBACK, STUCK, UpperHandler, ask, connect, serving
from trioserver import Connection, TCPServer
from trioserver._engine.accept_loop import ACCEPT_BATCH

QUEUED = 10 * ACCEPT_BATCH

# Three times as many as are accepted before the witness has all its replies.
FLOOD = 200 * ACCEPT_BATCH

QUESTIONS = 10


class CountedServer(TCPServer):
    """Counts what it accepts."""

    accepted = 0

    async def get_request(self) -> tuple[Connection, object]:
        request = await super().get_request()
        self.accepted += 1
        return request


class Batches(trio.abc.Instrument):
    """Notes how many requests a server accepts in each step of a task."""

    def __init__(self, server: CountedServer) -> None:
        self.sizes: list[int] = []
        self._server = server
        self._before = 0

    def after_task_step(self, task: trio.lowlevel.Task) -> None:
        if self._server.accepted > self._before:
            self.sizes.append(self._server.accepted - self._before)
            self._before = self._server.accepted


async def test_a_full_queue_is_accepted_in_batches() -> None:
    server = CountedServer(LOOPBACK, UpperHandler)
    with contextlib.ExitStack() as stack:
        for _ in range(QUEUED):
            stack.enter_context(socket.create_connection(server.server_address))
        batches = Batches(server)
        trio.lowlevel.add_instrument(batches)
        async with serving(server):
            await trio.testing.wait_all_tasks_blocked()
            trio.lowlevel.remove_instrument(batches)
            stack.close()

    assert batches.sizes == [ACCEPT_BATCH] * (QUEUED // ACCEPT_BATCH)


class FloodedServer(CountedServer):
    """Has a queue that is never empty: who is accepted, makes room for another one."""

    is_flooded = True

    async def get_request(self) -> tuple[Connection, object]:
        # Not for ever, so that the test comes to its end if it fails.
        if self.is_flooded and self.accepted < FLOOD:
            socket.create_connection(self.server_address, STUCK).close()
        return await super().get_request()


async def test_a_queue_that_is_never_empty_starves_no_request() -> None:
    async with serving(FloodedServer(LOOPBACK, UpperHandler)) as server:
        async with await connect(server) as witness:
            replies = [await ask(witness, b"%d x\n" % n) for n in range(QUESTIONS)]
            server.is_flooded = False
            accepted = server.accepted

    assert replies == [b"%d X\n" % n for n in range(QUESTIONS)]
    assert accepted < FLOOD
