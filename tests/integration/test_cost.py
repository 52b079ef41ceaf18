"""What a request costs, in what can be counted: calls of the system, and steps.

Times depend on the machine and on what else it does. These counts do not, and each of
them has been too high before. They are not the same over both layers: this is what
there are two for.
"""

from __future__ import annotations

import contextlib
import socket
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import ClassVar

import trio
import trio.testing

from kit.counting import CALLS, CountedSocket, counting
from kit.serving import LOOPBACK, UpperHandler, eventually, serving
from trioserver import Connection, TCPServer
from trioserver._streams.delivery import is_acknowledged
from trioserver._testing.task_tree import all_tasks

ROUNDS = 50

# Lines that a client sends ahead, in one segment.
AHEAD = 16

# Clients that ask at the same time.
CLIENTS = 20

# From the task's own to the wait: two of the engine's and one against Ctrl-C, a hook, a
# handler's two, the reader's two, the connection's, and the wait: Trio's own has six.
COROUTINES = {"edges": 10, "portable": 15}


class CountedServer(TCPServer):
    """Has sockets that count."""

    requests: ClassVar[list[Connection]] = []

    async def get_request(self) -> tuple[Connection, object]:
        request, client_address = await super().get_request()
        request.socket.__class__ = CountedSocket
        self.requests[:] = [request]
        return request, client_address


@contextmanager
def connecting(server: TCPServer) -> Iterator[socket.socket]:
    """Lend a client that does without Trio, so that it adds to no count."""
    with socket.create_connection(server.server_address) as client:
        client.setblocking(False)
        yield client


async def ask(client: socket.socket, lines: bytes) -> None:
    """Ask, and look for the reply until it is there."""
    client.sendall(lines)
    await receive(client, len(lines))


async def receive(client: socket.socket, size: int) -> None:
    while size:
        with contextlib.suppress(BlockingIOError):
            size -= len(client.recv(size))
        await trio.lowlevel.checkpoint()


@asynccontextmanager
async def in_dialogue(
    clients: int = 1,
) -> AsyncIterator[tuple[TCPServer, list[socket.socket]]]:
    """Serve clients that have asked once, so that their connections are known."""
    async with serving(CountedServer(LOOPBACK, UpperHandler)) as server:
        with contextlib.ExitStack() as stack:
            found = [stack.enter_context(connecting(server)) for _ in range(clients)]
            for client in found:
                await ask(client, b"hello\n")
            await trio.testing.wait_all_tasks_blocked()
            yield server, found


Costs = dict[str, dict[str, int]]


def each(costs: dict[str, int], times: int = ROUNDS) -> dict[str, int]:
    """Return what *times* of something cost."""
    return {name: count * times for name, count in costs.items()}


# A failed read costs less than half of a wait, so that over the portable layer each
# wait has one before.
LINE_CALLS: Costs = {
    "edges": {"recv": 1, "send": 1, "epoll_ctl": 1},
    "portable": {"recv": 2, "send": 1, "epoll_ctl": 1},
}
LINE_STEPS: Costs = {"edges": {"_run": 1, "_wake_forever": 1}, "portable": {"_run": 1}}


async def test_a_line_costs_one_wait_and_one_step_of_its_task(layer: str) -> None:
    async with in_dialogue() as (server, [client]):
        with counting(server) as steps:
            for _ in range(ROUNDS):
                await ask(client, b"hello\n")
            await trio.testing.wait_all_tasks_blocked()

            assert each(LINE_CALLS[layer]) == CALLS
            assert steps == each(LINE_STEPS[layer])


# Replies are gathered where somebody is there to send them when their task waits.
AHEAD_CALLS: Costs = {
    "edges": {"recv": 1, "send": 1, "epoll_ctl": 1},
    "portable": {"recv": 2, "send": AHEAD, "epoll_ctl": 1},
}


async def test_lines_that_were_sent_ahead_cost_one_wait_together(layer: str) -> None:
    async with in_dialogue() as (server, [client]):
        with counting(server):
            for _ in range(ROUNDS):
                await ask(client, b"hello\n" * AHEAD)
            await trio.testing.wait_all_tasks_blocked()

            assert each(AHEAD_CALLS[layer]) == CALLS


# All of them together: with edges, one wait is enough.
AT_ONCE_CALLS: Costs = {
    "edges": {"recv": CLIENTS, "send": CLIENTS, "epoll_ctl": 1},
    "portable": {"recv": 2 * CLIENTS, "send": CLIENTS, "epoll_ctl": CLIENTS},
}
AT_ONCE_STEPS: Costs = {
    "edges": {"_run": CLIENTS, "_wake_forever": 1},
    "portable": {"_run": CLIENTS},
}


async def test_clients_that_ask_at_once_cost_one_wait_together(layer: str) -> None:
    async with in_dialogue(CLIENTS) as (server, clients):
        with counting(server) as steps:
            for _ in range(ROUNDS):
                for client in clients:
                    client.sendall(b"hello\n")
                for client in clients:
                    await receive(client, len(b"hello\n"))
            await trio.testing.wait_all_tasks_blocked()

            assert each(AT_ONCE_CALLS[layer]) == CALLS
            assert steps == each(AT_ONCE_STEPS[layer])


# At most: a client that is fast saves a wait. Beside the line and the end, there is
# the accept loop's own wait; with edges, the connection's coming and going.
CONNECTION_CALLS: Costs = {
    "edges": {"recv": 3, "send": 1, "shutdown": 1, "epoll_ctl": 6},
    "portable": {"recv": 4, "send": 1, "shutdown": 1, "epoll_ctl": 6},
}
CONNECTION_STEPS: Costs = {
    "edges": {"_run": 3, "_wake_forever": 3, "serve": 2},
    "portable": {"_run": 3, "serve": 2},
}


async def test_a_connection_costs_no_more_than_it_has_to(layer: str) -> None:
    async with serving(CountedServer(LOOPBACK, UpperHandler)) as server:
        await trio.testing.wait_all_tasks_blocked()
        with counting(server) as steps:
            for _ in range(ROUNDS):
                with connecting(server) as client:
                    await ask(client, b"hello\n")
                await trio.testing.wait_all_tasks_blocked()

            # Counters: each count is at most that of the other.
            assert Counter(each(CONNECTION_CALLS[layer])) >= CALLS
            assert steps <= Counter(each(CONNECTION_STEPS[layer]))


async def test_an_idle_connection_waits_in_no_more_coroutines_than_it_has_to(
    layer: str,
) -> None:
    async with in_dialogue():
        depth = max(
            len(list(task.iter_await_frames()))
            for task in all_tasks()
            if task.name.endswith("RequestsInFlight._run")
        )

    assert depth <= COROUTINES[layer]


async def test_an_idle_connection_is_stopped_without_a_wait() -> None:
    async with in_dialogue() as (server, _):
        server.daemon_requests = True
        [request] = CountedServer.requests
        await eventually(lambda: is_acknowledged(request.socket))
        with counting(server) as steps:
            await server.server_close()

        assert CALLS.keys() - {"epoll_ctl"} == {"recv", "shutdown"}
        assert CALLS["recv"] == CALLS["shutdown"] == 1
        assert steps["_run"] == 1
