"""Ended at any moment, a forking server leaves no child, no zombie, no descriptor."""

from __future__ import annotations

import contextlib
import signal
import socket
from collections.abc import Callable
from functools import partial

import attrs
import pytest
import trio

from kit.cancel_everywhere import (
    Injector,
    cancel,
    end_everywhere,
    interrupt,
    serve_watched,
    stop,
)
from kit.forks import Handler
from kit.serving import LOOPBACK, connect
from trioserver import BaseServer, Connection, ForkingTCPServer


def echo(request: socket.socket, *_: object) -> None:
    request.sendall(request.recv(100))


async def echo_with_trio(request: Connection, *_: object) -> None:
    await request.send_all(await request.receive_some())


# On one line, because what a killed child has done is not measured.
stay: Handler = lambda request, *_: (  # noqa: E731  # see above
    request.send(request.recv(100)) and signal.sigwait({signal.SIGUSR1})
)


async def fail(*_: object) -> None:
    raise LookupError


# pytest watches over slow tests with a thread that is not Python's, and so Python warns
# of every fork.
WATCHDOG = "is multi-threaded, use of fork() may lead to deadlocks"


@attrs.frozen
class Case:
    """Handlers of both kinds; and how to serve."""

    handler: Handler
    singly: bool = False
    block_on_close: bool = True

    def make_server(self) -> ForkingTCPServer:
        server = ForkingTCPServer(LOOPBACK, self.handler)
        server.block_on_close = self.block_on_close
        server.cleanup_timeout = 2
        server.drain_timeout = 0.01
        server.linger_timeout = 0
        server.timeout = 0.01
        return server


CASES = {
    "synchronous": Case(echo),
    "asynchronous": Case(echo_with_trio),
    "a child that stays": Case(stay),
    "a child that is not waited for": Case(stay, block_on_close=False),
    "a child that fails": Case(fail),
    "handle_request": Case(echo, singly=True),
}


async def serve(
    server: ForkingTCPServer, singly: bool, task_status: trio.TaskStatus[BaseServer]
) -> None:
    if not singly:
        await server.serve(task_status=task_status)
        return
    with server:
        task_status.started(server)
        await server.handle_request()


async def visit(server: ForkingTCPServer) -> None:
    """Be a client to whom anything may happen."""
    with contextlib.suppress(OSError, trio.BrokenResourceError):
        async with await connect(server) as client:
            await client.send_all(b"hello")
            await client.receive_some()


async def play(case: Case, injector: Injector) -> None:
    """Serve, be visited, shut down; whatever the injector does meanwhile."""
    with case.make_server() as server:
        injector.server = server
        async with trio.open_nursery() as nursery:
            serving = partial(
                serve_watched, injector, partial(serve, server, case.singly)
            )
            with contextlib.suppress(RuntimeError):  # it ended before it had started
                await nursery.start(serving)
                await visit(server)
                await server.shutdown()


# Not all with each: a child costs a tenth of a second while it is measured.
PLAYS = [
    ("synchronous", cancel),
    ("synchronous", stop),
    ("synchronous", interrupt),
    ("asynchronous", cancel),
    ("asynchronous", interrupt),
    ("a child that stays", cancel),
    ("a child that is not waited for", stop),
    ("a child that fails", interrupt),
    ("handle_request", cancel),
    ("handle_request", interrupt),
]


@pytest.mark.proof
@pytest.mark.parametrize(("name", "act"), PLAYS)
def test_leaves_nothing_behind(name: str, act: Callable[[Injector], None]) -> None:
    found = end_everywhere(partial(play, CASES[name]), act)

    assert [problem for problem in found.problems if WATCHDOG not in problem] == []
    assert found.events >= 5
