"""Ended at any moment, serving with an object leaves nothing behind."""

from __future__ import annotations

import contextlib
import socket
import socketserver
import ssl
from collections.abc import Awaitable, Callable, Iterator
from functools import partial
from typing import ClassVar

import attrs
import pytest
import trio
import trustme

from kit.moments import SAMPLE
from kit.serving import LOOPBACK, reset_on_close
from kit.threads import UpperThreadHandler
from trioserver import ServerClosedError, serve_socketserver
from trioserver.testing import Injection, Kind, Trial, cancel_everywhere

Client = Callable[[socketserver.TCPServer], Awaitable[None]]


class QuietServer(socketserver.TCPServer):
    """Says nothing about errors, so that they do not fill the report."""

    # The one that is being served, for those who stop it from outside.
    current: ClassVar[socketserver.TCPServer]

    def handle_error(self, request: object, client_address: object) -> None:
        """Do nothing."""


class ThreadingQuietServer(socketserver.ThreadingMixIn, QuietServer):
    """As above, with threads."""


class DaemonQuietServer(ThreadingQuietServer):
    """As above, and does not wait for them."""

    daemon_threads = True


class BusyQuietServer(ThreadingQuietServer):
    """Overrides what can be overridden."""

    def get_request(self) -> tuple[socket.socket, object]:
        return super().get_request()

    def verify_request(self, request: object, client_address: object) -> bool:
        return True

    def service_actions(self) -> None:
        """Do nothing."""

    def process_request(self, request: object, client_address: object) -> None:
        super().process_request(request, client_address)  # type: ignore[arg-type]  # whatever has come

    def server_close(self) -> None:
        super().server_close()


class TLSQuietServer(ThreadingQuietServer):
    """Has a listener that is wrapped for TLS."""

    context: ClassVar[ssl.SSLContext]

    def server_activate(self) -> None:
        super().server_activate()
        self.socket = self.context.wrap_socket(self.socket, server_side=True)


class StoppingHandler(UpperThreadHandler):
    """Stops the server from inside."""

    def handle(self) -> None:
        self.rfile.readline()
        self.server.shutdown()
        self.server.server_close()


@pytest.fixture(scope="module", autouse=True)
def certificate() -> Iterator[trustme.CA]:
    authority = trustme.CA()
    TLSQuietServer.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(TLSQuietServer.context)
    yield authority
    del TLSQuietServer.context


def shut_down(_trial: Trial) -> None:
    """Call the object's ``shutdown()`` where it cannot wait."""
    QuietServer.current.shutdown()


def close(_trial: Trial) -> None:
    """Call the object's ``server_close()`` where it cannot wait."""
    QuietServer.current.server_close()


INJECTIONS: dict[str, Kind | Injection] = {
    "cancel": "cancel",
    "interrupt": "interrupt",
    "shut_down": Injection("shut_down", shut_down),
    "close": Injection("close", close, raises=(ServerClosedError,)),
}


async def connect(server: socketserver.TCPServer) -> trio.SocketStream:
    host, port = server.socket.getsockname()
    return await trio.open_tcp_stream(host, port)


async def echo(server: socketserver.TCPServer) -> None:
    """Ask once, and close."""
    async with await connect(server) as client:
        await client.send_all(b"hello\n")
        await client.receive_some()


async def half_close(server: socketserver.TCPServer) -> None:
    """Ask, half-close, and read to the end."""
    async with await connect(server) as client:
        await client.send_all(b"hello\n")
        await client.send_eof()
        async for _ in client:
            pass


async def reset(server: socketserver.TCPServer) -> None:
    """Ask, and reset."""
    async with await connect(server) as client:
        await client.send_all(b"hello\n")
        reset_on_close(client)


@attrs.frozen
class Case:
    """A server, and who visits it."""

    server: type[QuietServer] = ThreadingQuietServer
    handler: type[socketserver.BaseRequestHandler] = UpperThreadHandler
    clients: tuple[Client, ...] = (echo, half_close)
    leaves_open: bool = False


CASES = {
    "one after the other": Case(server=QuietServer),
    "threads": Case(),
    "daemons": Case(server=DaemonQuietServer),
    "everything overridden": Case(server=BusyQuietServer),
    "TLS": Case(server=TLSQuietServer),
    "clients that reset": Case(clients=(reset, reset)),
    "handlers that stop": Case(handler=StoppingHandler, clients=(half_close,)),
    "left open": Case(leaves_open=True),
}


async def serve(
    case: Case,
    server: socketserver.TCPServer,
    *,
    task_status: trio.TaskStatus[socketserver.TCPServer],
) -> None:
    try:
        await serve_socketserver(
            server,
            close=not case.leaves_open,
            poll_interval=0.001,
            drain_timeout=0.01,
            task_status=task_status,
        )
    finally:
        # Or a client in the queue would wait for ever.
        server.socket.close()


async def visit(server: socketserver.TCPServer, client: Client) -> None:
    """Be a client to whom anything may happen."""
    with contextlib.suppress(OSError, trio.BrokenResourceError):
        await client(server)


async def visit_all(case: Case, server: socketserver.TCPServer) -> None:
    """Let all clients visit, and shut down."""
    async with trio.open_nursery() as clients:
        for client in case.clients:
            clients.start_soon(visit, server, client)
    server.shutdown()


def state_of(server: socketserver.TCPServer) -> dict[str, object]:
    """Return what *server* has, without the flag that a late ``shutdown()`` sets."""
    flag = "_BaseServer__shutdown_request"
    return {name: value for name, value in vars(server).items() if name != flag}


async def play(case: Case, trial: Trial) -> None:
    """Serve, be visited, shut down; whatever happens meanwhile."""
    with case.server(LOOPBACK, case.handler) as server:
        QuietServer.current = server
        before = state_of(server)
        async with trial.watching(partial(serve, case, server)):
            await visit_all(case, server)
        assert state_of(server) == before


@pytest.mark.proof
@pytest.mark.slow
@pytest.mark.parametrize("by", INJECTIONS)
@pytest.mark.parametrize("name", CASES)
def test_leaves_nothing_behind(name: str, by: str) -> None:
    found = cancel_everywhere(
        partial(play, CASES[name]), by=INJECTIONS[by], sample=SAMPLE
    )

    found.check()
    assert found.moments[by] > 10
