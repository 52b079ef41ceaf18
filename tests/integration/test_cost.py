"""What a request costs, in what can be counted: calls of the system, and steps.

Times depend on the machine and on what else it does. These counts do not, and each of
them has been too high before.
"""

from __future__ import annotations

import socket
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import ClassVar

import trio
import trio.testing

from kit.serving import LOOPBACK, UpperHandler, ask, connect, receive_line, serving
from trioserver import Connection, TCPServer

ROUNDS = 50

# Lines that a client sends ahead, in one segment.
AHEAD = 16


class CountedSocket(socket.socket):
    """Counts what it is asked to do."""

    __slots__ = ()
    calls: ClassVar[Counter[str]] = Counter()

    def recv(self, size: int, flags: int = 0, /) -> bytes:
        self.calls["recv"] += 1
        return super().recv(size, flags)

    def send(self, data: bytes | bytearray | memoryview, flags: int = 0, /) -> int:  # type: ignore[override]  # what is sent here
        self.calls["send"] += 1
        return super().send(data, flags)

    def shutdown(self, how: int, /) -> None:
        self.calls["shutdown"] += 1
        super().shutdown(how)


class CountedServer(TCPServer):
    """Has sockets that count."""

    async def get_request(self) -> tuple[Connection, object]:
        request, client_address = await super().get_request()
        request.socket.__class__ = CountedSocket
        return request, client_address


class Steps(trio.abc.Instrument):
    """Counts the steps of all tasks but one, by their names."""

    def __init__(self, but: trio.lowlevel.Task) -> None:
        self.but = but
        self.counts: Counter[str] = Counter()

    def before_task_step(self, task: trio.lowlevel.Task) -> None:
        if task is not self.but:
            self.counts[task.name.rpartition(".")[2]] += 1


@contextmanager
def counting() -> Iterator[tuple[Counter[str], Counter[str]]]:
    """Count the calls of sockets, and the steps of all tasks but this one."""
    CountedSocket.calls.clear()
    steps = Steps(trio.lowlevel.current_task())
    trio.lowlevel.add_instrument(steps)
    try:
        yield CountedSocket.calls, steps.counts
    finally:
        trio.lowlevel.remove_instrument(steps)


@asynccontextmanager
async def in_dialogue() -> AsyncIterator[trio.SocketStream]:
    """Serve a client, which has asked once, so that its connection is known."""
    async with (
        serving(CountedServer(LOOPBACK, UpperHandler)) as server,
        await connect(server) as client,
    ):
        await ask(client, b"hello\n")
        await trio.testing.wait_all_tasks_blocked()
        yield client


async def test_a_line_costs_two_calls_and_two_steps() -> None:
    async with in_dialogue() as client:
        with counting() as (calls, steps):
            for _ in range(ROUNDS):
                await ask(client, b"hello\n")
            await trio.testing.wait_all_tasks_blocked()

            assert calls == {"recv": ROUNDS, "send": ROUNDS}
            assert steps == {"_run": ROUNDS, "_wake_forever": ROUNDS}


async def test_lines_that_were_sent_ahead_cost_two_calls_together() -> None:
    async with in_dialogue() as client:
        with counting() as (calls, _):
            for _ in range(ROUNDS):
                await client.send_all(b"hello\n" * AHEAD)
                for _ in range(AHEAD):
                    await receive_line(client)

            assert calls == {"recv": ROUNDS, "send": ROUNDS}


async def test_a_connection_costs_no_more_than_it_has_to() -> None:
    async with serving(CountedServer(LOOPBACK, UpperHandler)) as server:
        await trio.testing.wait_all_tasks_blocked()
        with counting() as (calls, steps):
            for _ in range(ROUNDS):
                async with await connect(server) as client:
                    await ask(client, b"hello\n")
                await trio.testing.wait_all_tasks_blocked()

            # The line and the end; before, perhaps, that neither is there yet.
            assert 2 * ROUNDS <= calls["recv"] <= 3 * ROUNDS
            assert calls["send"] == ROUNDS
            assert calls["shutdown"] == ROUNDS
            assert steps["_run"] <= 3 * ROUNDS
            assert steps["_wake_forever"] <= 3 * ROUNDS
