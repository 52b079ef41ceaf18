"""The request handlers: one object for each request, with three methods to override."""

from __future__ import annotations

import inspect
import socket
import socketserver
import types
from collections.abc import Generator
from typing import Any, Final

import trio

from trioserver._cancellation import CLEANUP_TIMEOUT, cleanup_scope
from trioserver._engine.hooks import ClientAddress, Request, Server, settled
from trioserver._exceptions import RequestTimeoutError
from trioserver._settings import check_setting, check_settings
from trioserver._streams.budget import Budget
from trioserver._streams.reader import (
    MAX_LINE_BYTES,
    MAX_READ_BYTES,
    BufferedReader,
)
from trioserver._streams.writer import BufferedWriter

_FOREIGN_MIXINS: Final[frozenset[type]] = frozenset(
    getattr(socketserver, name)
    for name in ("ThreadingMixIn", "ForkingMixIn")
    if hasattr(socketserver, name)
)


class BaseRequestHandler:
    """One request, from its beginning to its end.

    Like socketserver's, but `setup`, `handle` and `finish` are asynchronous, and the
    constructor only stores its arguments: awaiting the object does the work.

    Methods that may be overridden:

    - `setup`
    - `handle`
    - `finish`
    """

    request: Request
    """The request, which for a TCP server is a `Connection`."""

    client_address: ClientAddress
    """Where the request came from, as ``get_request()`` said."""

    server: Server
    """The server that the request came to."""

    def __init__(
        self, request: Request, client_address: ClientAddress, server: Server
    ) -> None:
        self.request = request
        self.client_address = client_address
        self.server = server

    def __await__(self) -> Generator[Any, Any, None]:  # type: ignore[explicit-any]  # as typing.Coroutine has it
        """Run `setup`, `handle` and `finish`."""
        return self._run().__await__()

    async def _run(self) -> None:
        await settled(self.setup())
        try:
            await settled(self.handle())
        except GeneratorExit:
            # Python throws this coroutine away, after an interrupt that struck in what
            # awaited it, and closes it: nothing can be awaited any more.
            raise
        except BaseException as error:
            await self._finish_after(error)
            raise
        await self._finish()

    async def _finish(self) -> None:
        with cleanup_scope(self._cleanup_timeout):
            await settled(self.finish())

    async def _finish_after(self, error: BaseException) -> None:
        """Finish after *error*, which may not be lost if it is no `Exception`.

        Like socketserver's, where what `finish` raises hides even a ``SystemExit``.
        """
        try:
            await self._finish()
        except Exception as failure:
            if isinstance(error, Exception):
                raise
            message = "finish() failed after this"
            raise BaseExceptionGroup(message, [error, failure]) from None

    @property
    def _cleanup_timeout(self) -> float:
        timeout: float = getattr(self.server, "cleanup_timeout", CLEANUP_TIMEOUT)
        return timeout

    async def setup(self) -> None:
        """Prepare for `handle`. If it raises, `finish` is not called."""

    async def handle(self) -> None:
        """Do all the work that the request asks for."""

    async def finish(self) -> None:
        """Clean up after `handle`, whether it returned or raised.

        Cancellation:
            In a request that was cancelled before, it may take
            ``server.cleanup_timeout`` seconds. A cancellation that comes while it runs
            is delivered as everywhere; what ``wfile`` holds is sent all the same.
        """


class StreamRequestHandler(BaseRequestHandler):
    """A request that is a stream, with ``rfile`` to read and ``wfile`` to write.

    Like socketserver's, but both are asynchronous, and reading has limits.
    """

    rbufsize: int = -1
    """Bytes to receive at once; -1 is 64 KiB, 0 reads nothing ahead."""

    wbufsize: int = 0
    """Bytes to gather before they are sent; 0 sends each write at once, -1 is 8 KiB."""

    timeout: float | None = None
    """Seconds that ``rfile`` waits for data, and that ``wfile`` takes to send.

    For each operation, not for the request. None: for ever. The error is
    `RequestTimeoutError`.
    """

    disable_nagle_algorithm: bool = False
    """Whether to set ``TCP_NODELAY`` on the socket."""

    max_line_bytes: float = MAX_LINE_BYTES
    """The longest line that ``rfile`` reads, its end included. `math.inf`: no limit."""

    max_read_bytes: float = MAX_READ_BYTES
    """The most that ``rfile.read()`` to the end reads. `math.inf`: no limit."""

    connection: trio.abc.Stream
    """The same as `request`."""

    rfile: BufferedReader
    """What the client sends."""

    wfile: BufferedWriter
    """What the client is sent."""

    async def setup(self) -> None:
        """Make `rfile` and `wfile`."""
        check_setting("timeout", self.timeout)
        self.connection = self.request
        if self.disable_nagle_algorithm:
            sock: socket.socket = self.request.socket
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        budget = Budget()
        self.rfile = BufferedReader(
            self.connection,
            self.rbufsize,
            timeout=self.timeout,
            max_line_bytes=self.max_line_bytes,
            max_read_bytes=self.max_read_bytes,
            budget=budget,
        )
        self.wfile = BufferedWriter(
            self.connection,
            self.wbufsize,
            timeout=self.timeout,
            cleanup_timeout=self._cleanup_timeout,
            budget=budget,
        )

    async def finish(self) -> None:
        """Send what `wfile` still holds, and close both files.

        Like socketserver's, but a peer that vanished is no error with a buffered
        `wfile` either.
        """
        try:
            await self.wfile.aclose()
        except RequestTimeoutError:
            raise  # somebody is there, and did not get the reply
        except (OSError, trio.BrokenResourceError):
            pass  # nobody is there, which is no error of the handler's
        finally:
            self.rfile.close()


def check_handler(handler: object) -> None:
    """Refuse what cannot handle requests on an asynchronous server.

    Raises:
        TypeError: If *handler* cannot be called, or handles synchronously.
    """
    if not callable(handler):
        message = (
            f"the request handler must be a class derived from BaseRequestHandler, or "
            f"any callable (request, client_address, server), not {handler!r}"
        )
        raise TypeError(message)
    if not isinstance(handler, type):
        return
    if issubclass(handler, socketserver.BaseRequestHandler):
        message = (
            f"{handler.__name__} is a synchronous handler of socketserver's: derive it "
            f"from trioserver.{_base_name(handler)} and write 'async def handle'"
        )
        raise TypeError(message)
    if not issubclass(handler, BaseRequestHandler):
        return
    check_settings(handler)
    if _is_plain(handler.handle):
        message = (
            f"{handler.__name__}.handle is a plain function, which cannot wait for "
            "anything: write 'async def handle'"
        )
        raise TypeError(message)


def check_bases(server_class: type) -> None:
    """Refuse a server that has a mix-in of the standard library's left among its bases.

    Raises:
        TypeError: Its threads or processes could run none of our handlers.
    """
    left = [base for base in server_class.__mro__ if base in _FOREIGN_MIXINS]
    if left:
        message = (
            f"{server_class.__name__} derives from socketserver.{left[0].__name__}: "
            "leave it out, every server here handles its requests at once"
        )
        raise TypeError(message)


def _base_name(handler: type) -> str:
    """Return which class of ours replaces the base of a socketserver *handler*."""
    if issubclass(handler, socketserver.StreamRequestHandler):
        return "StreamRequestHandler"
    return "BaseRequestHandler"


def _is_plain(function: object) -> bool:
    """Whether *function* surely returns nothing to await.

    A decorated one may return the coroutine of what it wraps.
    """
    inner = inspect.unwrap(function) if callable(function) else function
    return isinstance(inner, types.FunctionType) and not (
        inspect.iscoroutinefunction(inner)
    )
