"""Ended at any moment, a forking server leaves no child, no zombie, no descriptor."""

from __future__ import annotations

import contextlib
import signal
import socket
from functools import partial

import attrs
import pytest
import trio

from kit.forks import Handler
from kit.moments import SAMPLE
from kit.serving import LOOPBACK, connect
from trioserver import BaseServer, Connection, ForkingTCPServer
from trioserver.testing import Kind, Trial, cancel_everywhere


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
    server: ForkingTCPServer, singly: bool, *, task_status: trio.TaskStatus[BaseServer]
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


async def play(case: Case, trial: Trial) -> None:
    """Serve, be visited, shut down; whatever happens meanwhile."""
    with case.make_server() as server:
        serving = partial(serve, server, case.singly)
        async with trial.serving(server, serve=serving):
            await visit(server)


# Not all with each: a child costs a tenth of a second while it is measured.
PLAYS: list[tuple[str, Kind]] = [
    ("synchronous", "cancel"),
    ("synchronous", "shutdown"),
    ("synchronous", "interrupt"),
    ("asynchronous", "cancel"),
    ("asynchronous", "interrupt"),
    ("a child that stays", "cancel"),
    ("a child that is not waited for", "shutdown"),
    ("a child that fails", "interrupt"),
    ("handle_request", "cancel"),
    ("handle_request", "interrupt"),
]


@pytest.mark.proof
@pytest.mark.parametrize(("name", "by"), PLAYS)
def test_leaves_nothing_behind(name: str, by: Kind) -> None:
    found = cancel_everywhere(partial(play, CASES[name]), by=by, sample=SAMPLE)

    assert [problem for problem in found.problems if WATCHDOG not in problem] == []
    assert found.moments[by] >= 4
