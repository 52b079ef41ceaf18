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

from kit.datagrams import UpperDatagramHandler
from kit.serving import (
    LOOPBACK,
    UpperHandler,
    ask,
    connect,
    eventually,
    receive_line,
    serving,
)
from trioserver import Connection, TCPServer, UDPServer
from trioserver._engine.accept_loop import ACCEPT_BATCH
from trioserver._streams.delivery import is_acknowledged

ROUNDS = 50

# Lines that a client sends ahead, in one segment.
AHEAD = 16

# From the task's own to the wait: two of the engine's and one against Ctrl-C, a hook, a
# handler's two, the reader's two, the connection's, and the wait.
COROUTINES = 10


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

    def recvfrom(self, size: int, flags: int = 0, /) -> tuple[bytes, object]:
        self.calls["recvfrom"] += 1
        return super().recvfrom(size, flags)

    def sendto(self, data: bytes, flags: int, address: str, /) -> int:  # type: ignore[override]  # as it is called here
        self.calls["sendto"] += 1
        return super().sendto(data, flags, address)


class CountedServer(TCPServer):
    """Has sockets that count."""

    requests: ClassVar[list[Connection]] = []

    async def get_request(self) -> tuple[Connection, object]:
        request, client_address = await super().get_request()
        request.socket.__class__ = CountedSocket
        self.requests[:] = [request]
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


def all_tasks() -> Iterator[trio.lowlevel.Task]:
    """Yield every task of this run."""
    root = trio.lowlevel.current_root_task()
    waiting = [] if root is None else [root]
    while waiting:
        task = waiting.pop()
        yield task
        for nursery in task.child_nurseries:
            waiting += nursery.child_tasks


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


async def test_an_idle_connection_waits_in_no_more_coroutines_than_it_has_to() -> None:
    async with in_dialogue():
        depth = max(
            len(list(task.iter_await_frames()))
            for task in all_tasks()
            if task.name.endswith("RequestsInFlight._run")
        )

    assert depth <= COROUTINES


async def test_an_idle_connection_is_stopped_without_a_wait() -> None:
    async with serving(CountedServer(LOOPBACK, UpperHandler)) as server:
        server.daemon_requests = True
        async with await connect(server) as client:
            await ask(client, b"hello\n")
            [request] = server.requests
            await eventually(lambda: is_acknowledged(request.socket))
            with counting() as (calls, steps):
                await server.server_close()

            assert calls == {"recv": 1, "shutdown": 1}
            assert steps["_run"] == 1


@asynccontextmanager
async def asked_by_datagram() -> AsyncIterator[socket.socket]:
    """Serve a client, which has asked once, so that everything is warm."""
    server = UDPServer(LOOPBACK, UpperDatagramHandler)
    server.socket.__class__ = CountedSocket
    async with serving(server):
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
            client.connect(server.server_address)
            client.setblocking(False)
            await exchange(client, 1)
            yield client


async def exchange(client: socket.socket, count: int) -> None:
    """Send datagrams all at once, and receive as many."""
    for _ in range(count):
        client.send(b"hello")
    await trio.testing.wait_all_tasks_blocked()
    assert [client.recv(100) for _ in range(count)] == [b"HELLO"] * count


async def test_a_datagram_costs_three_calls_and_three_steps() -> None:
    async with asked_by_datagram() as client:
        with counting() as (calls, steps):
            for _ in range(ROUNDS):
                await exchange(client, 1)

            # The second call that receives finds nothing.
            assert calls == {"recvfrom": 2 * ROUNDS, "sendto": ROUNDS}
            assert steps["_run_short"] == ROUNDS
            assert ROUNDS <= steps["serve"] <= 2 * ROUNDS


async def test_datagrams_that_have_come_together_share_a_step() -> None:
    async with asked_by_datagram() as client:
        with counting() as (calls, steps):
            for _ in range(ROUNDS):
                await exchange(client, ACCEPT_BATCH - 1)

            sent = (ACCEPT_BATCH - 1) * ROUNDS
            assert calls == {"recvfrom": sent + ROUNDS, "sendto": sent}
            # Two, where the accept loop has let others run in the midst of it.
            assert ROUNDS <= steps["_run_short"] <= 2 * ROUNDS
