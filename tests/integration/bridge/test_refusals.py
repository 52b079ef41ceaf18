"""What cannot be driven is refused, with the way out."""

from __future__ import annotations

import socket
import socketserver
from functools import partial

import pytest

import trioserver
from kit.driving import driving
from kit.serving import LOOPBACK, UpperHandler
from trioserver import serve_socketserver
from trioserver._sockets.accept import is_listening


class Handler(socketserver.BaseRequestHandler):
    """Never called."""


class OwnLoopServer(socketserver.TCPServer):
    """Has a loop that Trio would not run."""

    def serve_forever(self, poll_interval: float = 0.5) -> None: ...


class UnreadableLoopServer(socketserver.TCPServer):
    """Has a loop that nobody can look into."""

    serve_forever = partial(print)


class OwnStepServer(socketserver.TCPServer):
    """Limits its requests in a way of its own."""

    def _handle_request_noblock(self) -> None: ...


class HalfMadeServer(socketserver.TCPServer):
    """Does not call the constructor that it overrides."""

    def __init__(self) -> None:
        pass


class SynchronousHandlerInName(socketserver.BaseRequestHandler):
    """Has the right base, and the wrong method."""

    async def handle(self) -> None: ...  # type: ignore[override]  # the mistake


WRONG_KINDS = {
    "ours": (
        lambda: trioserver.TCPServer(LOOPBACK, UpperHandler),
        r"await server\.serve\(\)",
    ),
    "a class": (lambda: socketserver.TCPServer, "make one first"),
    "no server": (lambda: "localhost:80", "only server objects of the standard"),
    "forking": (
        lambda: socketserver.ForkingTCPServer(LOOPBACK, Handler),
        "ForkingTCPServer derives from ForkingMixIn, .* socketserver.ThreadingMixIn",
    ),
    "half made": (HalfMadeServer, "HalfMadeServer.__init__ must call"),
    "no socket": (
        lambda: socketserver.BaseServer(LOOPBACK, Handler),
        r"run its serve_forever\(\) with trio.to_thread",
    ),
    "own step": (
        lambda: OwnStepServer(LOOPBACK, Handler),
        "max_concurrent_requests",
    ),
    "own loop": (
        lambda: OwnLoopServer(LOOPBACK, Handler),
        "OwnLoopServer overrides serve_forever",
    ),
    "unreadable loop": (
        lambda: UnreadableLoopServer(LOOPBACK, Handler),
        "UnreadableLoopServer overrides serve_forever",
    ),
    "our handler": (
        lambda: socketserver.TCPServer(LOOPBACK, UpperHandler),  # type: ignore[arg-type]  # the mistake
        "make a server of trioserver's",
    ),
    "async handler": (
        lambda: socketserver.TCPServer(LOOPBACK, SynchronousHandlerInName),
        "make a server of trioserver's",
    ),
}


@pytest.mark.parametrize("kind", WRONG_KINDS)
async def test_a_wrong_kind_is_a_type_error_that_names_the_way_out(kind: str) -> None:
    make, message = WRONG_KINDS[kind]
    server = make()  # type: ignore[no-untyped-call]  # whatever it returns

    with pytest.raises(TypeError, match=message):
        await serve_socketserver(server)  # type: ignore[type-var]  # the mistake

    sock = getattr(server, "socket", None)
    if isinstance(sock, socket.socket):
        # Refused, it still belongs to the caller.
        assert sock.fileno() != -1
        sock.close()


async def test_an_object_is_served_once_at_a_time() -> None:
    async with driving(socketserver.TCPServer(LOOPBACK, Handler)) as server:
        with pytest.raises(trioserver.AlreadyServingError, match="already"):
            await serve_socketserver(server)


async def test_a_closed_object_cannot_serve() -> None:
    server = socketserver.TCPServer(LOOPBACK, Handler)
    server.server_close()

    with pytest.raises(trioserver.ServerClosedError, match="TCPServer was closed"):
        await serve_socketserver(server)


async def test_a_socket_that_does_not_listen_is_noticed_at_once() -> None:
    with socketserver.TCPServer(LOOPBACK, Handler, bind_and_activate=False) as server:
        with pytest.raises(trioserver.ListenerBrokenError, match="server_activate"):
            await serve_socketserver(server)


@pytest.mark.parametrize(
    ("argument", "value", "error"),
    [
        ("max_concurrent_requests", 1.5, TypeError),
        ("max_concurrent_requests", -1, ValueError),
        ("drain_timeout", -1, ValueError),
        ("handshake_timeout", "soon", TypeError),
        ("poll_interval", -1, ValueError),
    ],
)
async def test_a_wrong_setting_is_refused(
    argument: str, value: object, error: type[Exception]
) -> None:
    with socketserver.TCPServer(LOOPBACK, Handler) as server:
        with pytest.raises(error, match=argument):
            await serve_socketserver(server, **{argument: value})  # type: ignore[arg-type]  # the mistake

        assert server.socket.fileno() != -1


def test_a_closed_socket_does_not_listen() -> None:
    with socket.socket() as sock:
        pass

    assert not is_listening(sock)
