"""Ended at any moment, a threading server leaves nothing behind, threads included."""

from __future__ import annotations

import contextlib
import socketserver
from collections.abc import Awaitable, Callable
from functools import partial

import attrs
import pytest
import trio

from kit.moments import SAMPLE
from kit.serving import LOOPBACK, connect, reset_on_close
from kit.threads import (
    AnyHandler,
    UpperThreadHandler,
    fill_send_buffer,
    handling,
)
from trioserver import BaseServer, ThreadingTCPServer
from trioserver.testing import Kind, Trial, cancel_everywhere

Client = Callable[[ThreadingTCPServer], Awaitable[None]]


class QuietServer(ThreadingTCPServer):
    """Says nothing about errors, so that they do not fill the report."""

    def handle_error(self, request: object, client_address: object) -> None:  # type: ignore[override]  # in a thread
        """Do nothing."""


class RefusingServer(QuietServer):
    """Refuses everybody."""

    async def verify_request(self, request: object, client_address: object) -> bool:
        await trio.lowlevel.checkpoint()
        return False


def fail(handler: AnyHandler) -> None:
    """Fail while others are being served."""
    raise ValueError(handler.rfile.readline())


def ask_server(handler: AnyHandler) -> None:
    """Wait for Trio, and for the client."""
    handler.server.handle_timeout()
    handler.rfile.readline()
    handler.server.handle_timeout()


def stop_server(handler: AnyHandler) -> None:
    """Stop the server from inside."""
    handler.rfile.readline()
    handler.server.shutdown()
    handler.server.server_close()


async def echo(server: ThreadingTCPServer) -> None:
    """Ask once, and close."""
    async with await connect(server) as client:
        await client.send_all(b"hello\n")
        await client.receive_some()


async def half_close(server: ThreadingTCPServer) -> None:
    """Ask, half-close, and read to the end."""
    async with await connect(server) as client:
        await client.send_all(b"hello\n")
        await client.send_eof()
        async for _ in client:
            pass


async def reset(server: ThreadingTCPServer) -> None:
    """Ask, and reset."""
    async with await connect(server) as client:
        await client.send_all(b"hello\n")
        reset_on_close(client)


@attrs.frozen
class Case:
    """A server, and who visits it."""

    handler: type[socketserver.BaseRequestHandler] = UpperThreadHandler
    server: type[ThreadingTCPServer] = QuietServer
    clients: tuple[Client, ...] = (echo, half_close)
    daemon_threads: bool = False
    max_threads: int = 8
    singly: bool = False

    def make_server(self) -> ThreadingTCPServer:
        server = self.server(LOOPBACK, self.handler)
        server.daemon_threads = self.daemon_threads
        server.max_threads = self.max_threads
        return server

    async def serve(
        self, server: ThreadingTCPServer, task_status: trio.TaskStatus[BaseServer]
    ) -> None:
        """Serve in one shot, or one request after the other."""
        if not self.singly:
            await server.serve(task_status=task_status)
            return
        with server:
            task_status.started(server)
            for _ in self.clients:
                await server.handle_request()


CASES = {
    "serve": Case(),
    "daemons": Case(daemon_threads=True),
    "clients that reset": Case(clients=(reset, reset)),
    "handlers that fail": Case(handler=handling(fail)),
    "handlers that ask": Case(handler=handling(ask_server)),
    "daemons that ask": Case(handler=handling(ask_server), daemon_threads=True),
    "handlers that stop": Case(handler=handling(stop_server), clients=(half_close,)),
    "handlers that send": Case(
        handler=handling(lambda handler: fill_send_buffer(handler.request)),
        clients=(reset,),
    ),
    "a queue for threads": Case(max_threads=1, clients=(half_close,) * 3),
    "refused": Case(server=RefusingServer),
    "handle_request": Case(singly=True, clients=(half_close, reset)),
}


async def visit(server: ThreadingTCPServer, client: Client) -> None:
    """Be a client to whom anything may happen."""
    with contextlib.suppress(OSError, trio.BrokenResourceError):
        await client(server)


async def visit_all(case: Case, server: ThreadingTCPServer) -> None:
    """Let all clients visit, and shut down."""
    async with trio.open_nursery() as clients:
        for client in case.clients:
            clients.start_soon(visit, server, client)
    await server.shutdown()


async def play(case: Case, trial: Trial) -> None:
    """Serve, be visited, shut down; whatever happens meanwhile."""

    async def serve(*, task_status: trio.TaskStatus[BaseServer]) -> None:
        await case.serve(server, task_status)

    with case.make_server() as server:
        async with trial.serving(server, serve=serve):
            await visit_all(case, server)


@pytest.mark.proof
@pytest.mark.parametrize("by", ["cancel", "shutdown", "close", "interrupt"])
@pytest.mark.parametrize("name", CASES)
def test_leaves_nothing_behind(name: str, by: Kind) -> None:
    found = cancel_everywhere(partial(play, CASES[name]), by=by, sample=SAMPLE)

    found.check()
    assert found.moments[by] > 10
