"""Ended at any moment, a threading server leaves nothing behind, threads included."""

from __future__ import annotations

import contextlib
import os
import socket
import socketserver
from collections.abc import Awaitable, Callable
from functools import partial
from typing import ClassVar

import attrs
import pytest
import trio

from kit.cancel_everywhere import (
    ACTIONS,
    Findings,
    Injector,
    end_everywhere,
    serve_watched,
)
from kit.serving import LOOPBACK, connect, reset_on_close
from kit.threads import (
    AnyHandler,
    UpperThreadHandler,
    fill_send_buffer,
    handling,
    wait_for_threads,
)
from trioserver import BaseServer, ThreadingTCPServer

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


async def play(case: Case, injector: Injector) -> None:
    """Serve, be visited, shut down; whatever the injector does meanwhile."""
    with case.make_server() as server:
        injector.server = server
        injector.settle = wait_for_threads
        async with trio.open_nursery() as nursery:
            serving = partial(serve_watched, injector, partial(case.serve, server))
            with contextlib.suppress(RuntimeError):  # it ended before it had started
                await nursery.start(serving)
                nursery.start_soon(visit_all, case, server)
        assert not server.requests_in_flight


@pytest.mark.proof
@pytest.mark.parametrize("act", ACTIONS, ids=lambda act: act.__name__)
@pytest.mark.parametrize("name", CASES)
def test_leaves_nothing_behind(name: str, act: Callable[[Injector], None]) -> None:
    found = end_everywhere(partial(play, CASES[name]), act)

    assert found.problems == []
    assert found.events > 10


def find_planted(case: Case) -> Findings:
    """Find the bug in *case*, at whatever event it shows."""
    return end_everywhere(partial(play, case), ACTIONS[0], every=True, hang=1)


class LosingServer(QuietServer):
    """Has a bug that these tests look for."""

    lost: ClassVar[list[int]] = []

    def process_request_thread(
        self, request: socket.socket, client_address: object
    ) -> None:
        self.lost.append(os.dup(request.fileno()))
        super().process_request_thread(request, client_address)


def test_finds_a_descriptor_that_a_thread_loses() -> None:
    planted = Case(server=LosingServer, clients=(echo,))

    found = find_planted(planted)
    for descriptor in LosingServer.lost:
        os.close(descriptor)

    assert any("descriptor" in problem for problem in found.problems)
