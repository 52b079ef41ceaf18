"""The two libraries behind one interface: what differs between them stands here.

All else in this directory is written once. `Library.call` calls a method of a server,
in a thread or as a coroutine; a `Script` is the body of a handler for both.
"""

from __future__ import annotations

import inspect
import socket
import socketserver
from collections.abc import Callable, Generator
from types import ModuleType
from typing import Any, Protocol, TypeAlias

import attrs
import pytest
import trio

import trioserver

# Handlers, requests and servers of either library: what they have is what is tested.
Either: TypeAlias = Any  # type: ignore[explicit-any]  # see above

# A method of either library, plain or asynchronous.
Function: TypeAlias = Callable[..., Any]  # type: ignore[explicit-any]  # see above

# The body of a handler. It yields each result that has to be awaited with trioserver,
# and gets back what came of it: ``line = yield handler.rfile.readline()``.
Script: TypeAlias = Callable[..., Generator[Any, Any, None]]  # type: ignore[explicit-any]  # see above


class Server(Protocol):
    """What the driver uses of a server; with trioserver, the results are awaitable."""

    server_address: Either

    def serve_forever(self, poll_interval: float = ...) -> object: ...
    def handle_request(self) -> object: ...
    def shutdown(self) -> object: ...
    def server_close(self) -> object: ...
    def fileno(self) -> int: ...


@attrs.frozen
class Library:
    """One of the two libraries."""

    module: ModuleType
    is_async: bool
    receive: str
    """What `receive_some` is called on a request."""
    send: str
    """What `send_all` is called on a request."""
    close: str
    """What `close_request` calls on a request."""

    @property
    def name(self) -> str:
        return self.module.__name__

    def class_(self, name: str) -> Either:
        """Return the class called *name*."""
        return getattr(self.module, name)

    async def call(self, function: Function, *arguments: object) -> Either:
        """Call *function* of a server or handler, and return what came of it."""
        if self.is_async:
            return await _settled(function(*arguments))
        return await trio.to_thread.run_sync(lambda: function(*arguments))

    def function(self, script: Script) -> Function:
        """Return a plain or an asynchronous function that plays *script*."""
        return _coroutine_function(script) if self.is_async else _function(script)

    def handler(self, script: Script, base: str = "StreamRequestHandler") -> Either:
        """Return a handler class whose ``handle()`` plays *script*."""
        namespace = {"handle": self.function(script)}
        return type("Handler", (self.class_(base),), namespace)

    def receive_some(self, request: Either, max_bytes: int) -> Either:
        """Receive from *request*."""
        return getattr(request, self.receive)(max_bytes)

    def send_all(self, request: Either, data: bytes) -> Either:
        """Send on *request*."""
        return getattr(request, self.send)(data)

    def close_request(self, request: Either) -> Either:
        """Close *request*."""
        return getattr(request, self.close)()

    def socket_of(self, request: Either) -> socket.socket:
        """Return the socket that *request* is, or has."""
        sock = request.socket if self.is_async else request
        assert isinstance(sock, socket.socket)
        return sock


def lines_of(rfile: Either) -> Either:
    """Return the lines of *rfile* as a list, or as a coroutine that makes the list."""
    return _async_list(rfile) if hasattr(rfile, "__aiter__") else list(rfile)


async def _async_list(rfile: Either) -> list[bytes]:
    return [line async for line in rfile]


def _function(script: Script) -> Function:
    def play(*arguments: object, **named: object) -> None:
        scene = script(*arguments, **named)
        result = None
        try:
            while True:
                result = scene.send(result)
        except StopIteration:
            return

    return play


def _coroutine_function(script: Script) -> Function:
    async def play(*arguments: object, **named: object) -> None:
        scene = script(*arguments, **named)
        result = None
        try:
            while True:
                result = await _settled(scene.send(result))
        except StopIteration:
            return

    return play


async def _settled(result: Either) -> Either:
    return await result if inspect.isawaitable(result) else result


SOCKETSERVER = Library(
    socketserver, is_async=False, receive="recv", send="sendall", close="close"
)
TRIOSERVER = Library(
    trioserver, is_async=True, receive="receive_some", send="send_all", close="aclose"
)

both_libraries = pytest.mark.parametrize(
    "library", [SOCKETSERVER, TRIOSERVER], ids=lambda library: library.name
)


def differs(*, socketserver: object, trioserver: object) -> pytest.MarkDecorator:
    """Run a test for each library, with what is *expected* of it."""
    return pytest.mark.parametrize(
        ("library", "expected"),
        [(SOCKETSERVER, socketserver), (TRIOSERVER, trioserver)],
        ids=["socketserver", "trioserver"],
    )
