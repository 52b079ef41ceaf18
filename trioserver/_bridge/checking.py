"""Refuse objects that cannot be driven, and say what to do instead."""

from __future__ import annotations

import inspect
import socket
import socketserver
from collections.abc import Callable
from typing import Final

from trioserver._bridge.stopping import SHUT_DOWN_EVENT, StopEvent
from trioserver._exceptions import (
    AlreadyServingError,
    ListenerBrokenError,
    ServerClosedError,
)
from trioserver._handlers.base import BaseRequestHandler
from trioserver._servers.base import BaseServer
from trioserver._sockets.accept import is_listening

# Not there on Windows.
_FORKING_MIX_IN: Final[type | None] = getattr(socketserver, "ForkingMixIn", None)


def check_object(server: object) -> None:
    """Refuse *server* unless `serve_socketserver` can drive it.

    Raises:
        TypeError: If it is of a kind that cannot be driven.
        AlreadyServingError: If it is being driven.
        ServerClosedError: If it was closed before.
        ListenerBrokenError: If it does not listen.
    """
    check_kind(server)
    assert isinstance(server, socketserver.TCPServer)  # noqa: S101  # see _is_bare
    if isinstance(getattr(server, SHUT_DOWN_EVENT), StopEvent):
        message = "this server object is being served already"
        raise AlreadyServingError(message)
    check_socket(server)


def check_kind(server: object) -> None:
    """Refuse *server* if it is of a kind that cannot be driven.

    Raises:
        TypeError: With the way out.
    """
    for is_wrong, message in _WRONG_KINDS:
        if is_wrong(server):
            raise TypeError(message.format(server, name=_name(server)))


def check_socket(server: socketserver.TCPServer) -> None:
    """Refuse *server* if nothing can come from its socket.

    Raises:
        ServerClosedError: If it was closed before.
        ListenerBrokenError: If it does not listen.
    """
    if server.socket.fileno() == -1:
        message = f"this {_name(server)} was closed and cannot serve: make a new one"
        raise ServerClosedError(message)
    if not (is_datagram_socket(server.socket) or is_listening(server.socket)):
        message = (
            f"the socket of this {_name(server)} does not listen: server_bind() and "
            "server_activate() make it listen"
        )
        raise ListenerBrokenError(message)


def is_datagram_socket(sock: socket.socket) -> bool:
    """Whether requests are datagrams, and not connections."""
    return sock.type == socket.SOCK_DGRAM


def is_original(hook: Callable[..., object]) -> bool:  # type: ignore[explicit-any]  # whatever it takes
    """Whether *hook*, a bound method, is socketserver's own, which waits for nobody."""
    function = getattr(hook, "__func__", None)
    return getattr(function, "__module__", None) == socketserver.__name__


def _is_ours(server: object) -> bool:
    return isinstance(server, BaseServer)


def _is_class(server: object) -> bool:
    return isinstance(server, type)


def _is_foreign(server: object) -> bool:
    return not isinstance(server, socketserver.BaseServer)


def _forks(server: object) -> bool:
    return _FORKING_MIX_IN is not None and isinstance(server, _FORKING_MIX_IN)


def _is_unmade(server: object) -> bool:
    return not hasattr(server, SHUT_DOWN_EVENT)


def _is_bare(server: object) -> bool:
    return not isinstance(server, socketserver.TCPServer)


def _has_own_step(server: object) -> bool:
    original = socketserver.BaseServer.__dict__["_handle_request_noblock"]
    return getattr(type(server), "_handle_request_noblock", None) is not original


def _has_own_loop(server: object) -> bool:
    """Whether a ``serve_forever`` does not call the one that it overrides.

    One that does, werkzeug's for example, has something to do before or after.
    """
    overrides = [
        vars(base)["serve_forever"]
        for base in type(server).__mro__
        if "serve_forever" in vars(base) and base is not socketserver.BaseServer
    ]
    return not all(_mentions(override, "serve_forever") for override in overrides)


def _mentions(function: object, name: str) -> bool:
    inner = inspect.unwrap(function) if callable(function) else function
    code = getattr(inner, "__code__", None)
    return code is not None and name in code.co_names


def _is_asynchronous(server: object) -> bool:
    handler: object = getattr(server, "RequestHandlerClass", None)
    is_async = inspect.iscoroutinefunction(getattr(handler, "handle", None))
    return is_async or (
        isinstance(handler, type) and issubclass(handler, BaseRequestHandler)
    )


def _name(server: object) -> str:
    return type(server).__name__


# The first row that fits decides.
_WRONG_KINDS: Final[tuple[tuple[Callable[[object], bool], str], ...]] = (
    (
        _is_ours,
        "{name} is a server of trioserver's own: await server.serve() instead",
    ),
    (_is_class, "pass a server object, not the class {0!r}: make one first"),
    (
        _is_foreign,
        (
            "only server objects of the standard library's socketserver can be served, "
            "which http.server and others derive theirs from, not {0!r}"
        ),
    ),
    (
        _forks,
        (
            "{name} derives from ForkingMixIn, and a process that runs Trio cannot "
            "fork in its threads: derive it from socketserver.ThreadingMixIn, or from "
            "trioserver's Forking classes and await server.serve()"
        ),
    ),
    (
        _is_unmade,
        "{name}.__init__ must call the one of socketserver.BaseServer",
    ),
    (
        _is_bare,
        (
            "{name} derives from BaseServer alone, not from TCPServer or UDPServer, so "
            "that nobody knows what to wait for: run its serve_forever() with "
            "trio.to_thread.run_sync()"
        ),
    ),
    (
        _has_own_step,
        (
            "{name} overrides _handle_request_noblock(), which nothing would call: "
            "override process_request() or verify_request(), or give a "
            "max_concurrent_requests if it was to limit requests"
        ),
    ),
    (
        _has_own_loop,
        (
            "{name} overrides serve_forever() with a loop of its own, which nothing "
            "would run: leave it out, or run it with trio.to_thread.run_sync()"
        ),
    ),
    (
        _is_asynchronous,
        (
            "the handler of this {name} is asynchronous, and nothing would await it: "
            "make a server of trioserver's with it"
        ),
    ),
)
