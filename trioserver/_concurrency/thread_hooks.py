"""The hooks of a server as they are in a request's thread: plain functions that block.

`ServerProxy` puts them where the asynchronous ones are, so that overrides of a
subclass, and their calls of ``super()``, go on working as in socketserver.
"""

from __future__ import annotations

import inspect
import socket
import sys
import threading
from collections.abc import Callable
from typing import Final

import attrs

from trioserver._concurrency.blocking_close import half_close_and_linger
from trioserver._concurrency.thread_run import is_escaping
from trioserver._datagrams.statistics import DatagramCounts
from trioserver._engine.admission import Admission
from trioserver._engine.error_report import report_error
from trioserver._engine.hooks import ClientAddress, Request, Server

# The hooks that run in the thread of a request, and nowhere else.
THREAD_HOOKS: Final = frozenset(
    {
        "process_request_thread",
        "finish_request",
        "handle_error",
        "shutdown_request",
        "close_request",
    }
)

# ``+=`` on an attribute is two steps, and another thread may come between.
_counting: Final = threading.Lock()


class ThreadHooks:
    """The hooks of `BaseServer`."""

    RequestHandlerClass: Callable[[Request, ClientAddress, Server], object]

    def finish_request(self, request: Request, client_address: ClientAddress) -> None:
        """Call `RequestHandlerClass`, whose constructor does the work."""
        result = self.RequestHandlerClass(request, client_address, self)
        if inspect.isawaitable(result):
            if inspect.iscoroutine(result):
                result.close()
            message = (
                f"{self.RequestHandlerClass!r} is asynchronous, and this server calls "
                "handlers in threads: leave ThreadingMixIn out"
            )
            raise TypeError(message)

    def handle_error(self, request: Request, client_address: ClientAddress) -> None:
        """Report the exception that a request has raised, and go on serving."""
        report_error(request, client_address, sys.exception())

    def shutdown_request(self, request: Request) -> None:
        """Call `close_request`."""
        self.close_request(request)

    def close_request(self, request: Request) -> None:
        """Do nothing."""


class StreamThreadHooks(ThreadHooks):
    """The hooks of `TCPServer`."""

    linger_timeout: float
    max_linger_bytes: float
    _admission: Admission

    def shutdown_request(self, request: Request) -> None:
        """Let the client have all of the reply, then close."""
        try:
            if isinstance(request, socket.socket):
                half_close_and_linger(
                    request,
                    linger_timeout=self.linger_timeout,
                    max_bytes=self.max_linger_bytes,
                    in_demand=self._is_in_demand,
                )
        finally:
            self.close_request(request)

    def close_request(self, request: Request) -> None:
        """Close the connection."""
        request.close()

    def _is_in_demand(self) -> bool:
        # What ends the server does not wait for the client, either.
        return self._admission.is_full or is_escaping()


class DatagramThreadHooks(ThreadHooks):
    """The hooks of `UDPServer`."""

    handle_truncated: Callable[[Request, ClientAddress], object]
    _counts: DatagramCounts

    def finish_request(self, request: Request, client_address: ClientAddress) -> None:
        """Call `RequestHandlerClass`, or `handle_truncated`."""
        _data, sock = request
        if sock.is_truncated:
            with _counting:
                self._counts.truncated += 1
            self.handle_truncated(request, client_address)
            return
        super().finish_request(request, client_address)
        with _counting:
            self._counts.handled += 1

    def close_request(self, request: Request) -> None:
        """Close the duplicate of the server's socket."""
        request.close()


@attrs.frozen
class HooksInPlace:
    """Which hooks take the place of those of which class."""

    hooks: type
    owner: type
