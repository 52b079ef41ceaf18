"""Ended at any moment, a server leaves no socket, no task and no descriptor behind."""

from __future__ import annotations

import contextlib
from collections.abc import Awaitable, Callable
from functools import partial
from pathlib import Path

import attrs
import pytest
import trio

from kit.moments import SAMPLE
from kit.serving import LOOPBACK, STUCK, UpperHandler, connect, reset_on_close
from trioserver import BaseServer, StreamRequestHandler, TCPServer, UnixStreamServer
from trioserver.testing import Kind, Trial, cancel_everywhere

Client = Callable[[TCPServer], Awaitable[None]]
Status = trio.TaskStatus[BaseServer]
Serve = Callable[[TCPServer, Status], Awaitable[None]]


class FailingHandler(StreamRequestHandler):
    """Fails while others are being served."""

    async def handle(self) -> None:
        message = await self.rfile.readline()
        raise ValueError(message)


class BufferedHandler(UpperHandler):
    """Has something to send when it ends."""

    wbufsize = -1
    timeout = STUCK


class QuietServer(TCPServer):
    """Says nothing about errors, so that they do not fill the report."""

    async def handle_error(self, request: object, client_address: object) -> None:
        await trio.lowlevel.checkpoint()


class BusyServer(QuietServer):
    """Has something to do beside."""

    async def service_actions(self) -> None:
        await trio.lowlevel.checkpoint()


async def echo(server: TCPServer) -> None:
    """Ask once, and close."""
    async with await connect(server) as client:
        await client.send_all(b"hello\n")
        await client.receive_some()


async def half_close(server: TCPServer) -> None:
    """Ask, half-close, and read to the end."""
    async with await connect(server) as client:
        await client.send_all(b"hello\n")
        await client.send_eof()
        async for _ in client:
            pass


async def reset(server: TCPServer) -> None:
    """Ask, and reset."""
    async with await connect(server) as client:
        await client.send_all(b"hello\n")
        reset_on_close(client)


async def stay(server: TCPServer) -> None:
    """Ask, and stay until the server closes."""
    async with await connect(server) as client:
        await client.send_all(b"hello\n")
        async for _ in client:
            pass


async def serve(server: TCPServer, task_status: trio.TaskStatus[BaseServer]) -> None:
    """Serve in one shot."""
    await server.serve(task_status=task_status)


async def serve_in_block(
    server: TCPServer, task_status: trio.TaskStatus[BaseServer]
) -> None:
    """Serve twice inside ``async with``."""
    async with server:
        await server.serve_forever(0.001, task_status=task_status)
        await server.shutdown()


async def serve_elsewhere(
    server: TCPServer, task_status: trio.TaskStatus[BaseServer]
) -> None:
    """Serve with the requests in a nursery of the caller's."""
    async with trio.open_nursery() as nursery:
        await server.serve(handler_nursery=nursery, task_status=task_status)


async def serve_singly(
    server: TCPServer, task_status: trio.TaskStatus[BaseServer]
) -> None:
    """Handle one request after the other."""
    with server:
        task_status.started(server)
        for _ in range(2):
            await server.handle_request()


@attrs.frozen
class Case:
    """A server, how it is run, and who visits it."""

    handler: type[StreamRequestHandler] = UpperHandler
    serve: Serve = serve
    clients: tuple[Client, ...] = (echo, stay)
    server: type[TCPServer] = QuietServer
    limit: float = 2
    address: object = LOOPBACK
    daemon_requests: bool = False
    edge_triggered: bool = True

    def make_server(self) -> TCPServer:
        server = self.server(self.address, self.handler)
        server.max_concurrent_requests = self.limit
        server.daemon_requests = self.daemon_requests
        server.edge_triggered = self.edge_triggered
        server.drain_timeout = 0.01
        server.timeout = 0.01
        return server


CASES = {
    "serve": Case(),
    "clients that reset": Case(clients=(reset, reset)),
    "handlers that fail": Case(handler=FailingHandler),
    "a buffer to flush": Case(
        handler=BufferedHandler, clients=(half_close, half_close)
    ),
    "a queue": Case(limit=1, clients=(echo, echo, half_close)),
    "daemon requests": Case(daemon_requests=True),
    "without edges": Case(edge_triggered=False),
    "async with": Case(serve=serve_in_block, server=BusyServer),
    "a nursery elsewhere": Case(serve=serve_elsewhere),
    "handle_request": Case(serve=serve_singly, clients=(echo, reset)),
    "a Unix socket": Case(server=UnixStreamServer, address="x.sock"),
    "a Unix socket with a queue": Case(
        server=UnixStreamServer,
        address="x.sock",
        limit=1,
        clients=(echo, echo, half_close),
    ),
}


async def visit(server: TCPServer, client: Client) -> None:
    """Be a client to whom anything may happen."""
    with contextlib.suppress(OSError, trio.BrokenResourceError):
        await client(server)


async def play(case: Case, trial: Trial) -> None:
    """Serve, be visited, shut down; whatever happens meanwhile."""

    async def serve(*, task_status: Status) -> None:
        await case.serve(server, task_status)

    with case.make_server() as server:
        async with trial.serving(server, serve=serve), trio.open_nursery() as clients:
            for client in case.clients:
                await trio.lowlevel.checkpoint()
                clients.start_soon(visit, server, client)
            if echo in case.clients:
                await visit(server, echo)
            else:
                await trio.sleep(0.005)
            await server.shutdown()


@pytest.mark.proof
@pytest.mark.parametrize("by", ["cancel", "shutdown", "close", "interrupt"])
@pytest.mark.parametrize("name", CASES)
def test_leaves_nothing_behind(
    name: str, by: Kind, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)

    found = cancel_everywhere(
        partial(play, CASES[name]), by=by, sample=SAMPLE, paths=[tmp_path]
    )

    found.check()
    assert found.moments[by] > 5
