"""Ended at any moment, a UDP server leaves no socket, no task and no session behind."""

from __future__ import annotations

import contextlib
from collections.abc import Awaitable, Callable
from functools import partial

import attrs
import pytest
import trio

from kit.datagrams import UpperDatagramHandler, open_client
from kit.moments import SAMPLE
from kit.serving import LOOPBACK
from trioserver import (
    BaseRequestHandler,
    BaseServer,
    DatagramRequestHandler,
    DatagramSessionHandler,
    UDPServer,
    UDPSessionServer,
)
from trioserver.testing import Kind, Trial, cancel_everywhere

Status = trio.TaskStatus[BaseServer]
Serve = Callable[[UDPServer, Status], Awaitable[None]]


class FailingHandler(DatagramRequestHandler):
    """Fails while others are being served."""

    async def handle(self) -> None:
        await trio.lowlevel.checkpoint()
        raise ValueError(self.packet)


class EchoSessionHandler(DatagramSessionHandler):
    """Answers until the session ends, and says good-bye."""

    async def handle(self) -> None:
        async for data in self.session:
            await self.session.send(data)
        await self.session.send(b"bye")


class QuietServer(UDPServer):
    """Says nothing about errors, so that they do not fill the report."""

    async def handle_error(self, request: object, client_address: object) -> None:
        await trio.lowlevel.checkpoint()


class QuietSessionServer(UDPSessionServer):
    """The same with sessions, which are short."""

    session_timeout = 0.005
    max_sessions = 2
    handle_error = QuietServer.handle_error


async def serve(server: UDPServer, task_status: trio.TaskStatus[BaseServer]) -> None:
    """Serve in one shot."""
    await server.serve(task_status=task_status)


async def serve_in_block(
    server: UDPServer, task_status: trio.TaskStatus[BaseServer]
) -> None:
    """Serve inside ``async with``."""
    async with server:
        await server.serve_forever(task_status=task_status)
        await server.shutdown()


async def serve_singly(
    server: UDPServer, task_status: trio.TaskStatus[BaseServer]
) -> None:
    """Handle one request after the other."""
    with server:
        task_status.started(server)
        for _ in range(2):
            await server.handle_request()


@attrs.frozen
class Case:
    """A server, how it is run, and how many datagrams come."""

    handler: type[BaseRequestHandler] = UpperDatagramHandler
    serve: Serve = serve
    server: type[UDPServer] = QuietServer
    limit: float | None = None
    max_packet_size: int = 100
    daemon_requests: bool = False

    def make_server(self) -> UDPServer:
        server = self.server(LOOPBACK, self.handler)
        if self.limit is not None:
            server.max_concurrent_requests = self.limit
        server.max_packet_size = self.max_packet_size
        server.daemon_requests = self.daemon_requests
        server.drain_timeout = 0.01
        server.timeout = 0.01
        return server


sessions = partial(Case, EchoSessionHandler, server=QuietSessionServer)

CASES = {
    "serve": Case(),
    "a queue": Case(limit=1),
    "handlers that fail": Case(handler=FailingHandler),
    "truncated": Case(max_packet_size=1),
    "daemon requests": Case(daemon_requests=True),
    "async with": Case(serve=serve_in_block),
    "handle_request": Case(serve=serve_singly),
    "sessions": sessions(),
    "sessions, async with": sessions(serve=serve_in_block),
    "sessions, handle_request": sessions(serve=serve_singly),
}


async def play(case: Case, trial: Trial) -> None:
    """Serve, be visited by three clients, shut down; whatever happens meanwhile."""

    async def serve(*, task_status: Status) -> None:
        await case.serve(server, task_status)

    with case.make_server() as server:
        async with trial.serving(server, serve=serve):
            await visit(server)


async def visit(server: UDPServer) -> None:
    """Send some datagrams, and wait for a moment for replies."""
    for data in (b"first", b"second", b"third"):
        with contextlib.suppress(OSError), open_client(server) as client:
            await client.send(data)
            with trio.move_on_after(0.002):
                await client.recv(100)
            await client.send(data)


@pytest.mark.proof
@pytest.mark.parametrize("by", ["cancel", "shutdown", "close", "interrupt"])
@pytest.mark.parametrize("name", CASES)
def test_leaves_nothing_behind(name: str, by: Kind) -> None:
    found = cancel_everywhere(partial(play, CASES[name]), by=by, sample=SAMPLE)

    found.check()
    assert found.moments[by] >= 4
