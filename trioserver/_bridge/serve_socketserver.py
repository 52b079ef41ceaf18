"""`serve_socketserver`: drive a server object of the standard library's from Trio."""

from __future__ import annotations

import math
import socketserver
from typing import Generic, TypeVar

import attrs
import trio

from trioserver._bridge.checking import check_object
from trioserver._bridge.driver import Driver, DriverSettings
from trioserver._servers.base import BaseServer
from trioserver._settings import check_seconds, check_setting

ServerT = TypeVar("ServerT", bound=socketserver.TCPServer)


@attrs.frozen
class _Announcement(Generic[ServerT]):
    """Tells the caller of ``nursery.start()`` about the object, not the driver."""

    server: ServerT
    task_status: trio.TaskStatus[ServerT]

    def started(self, value: BaseServer | None = None) -> None:  # noqa: ARG002  # the driver
        """Say that the object is being served."""
        self.task_status.started(self.server)


@trio.lowlevel.enable_ki_protection
async def serve_socketserver(
    server: ServerT,
    *,
    max_concurrent_requests: float | None = None,
    drain_timeout: float = math.inf,
    handshake_timeout: float = 60.0,
    poll_interval: float = 0.5,
    close: bool = True,
    task_status: trio.TaskStatus[ServerT] = trio.TASK_STATUS_IGNORED,
) -> None:
    """Serve with an existing server object, unchanged, until its ``shutdown()``.

    For ``trio.run(serve_socketserver, server)`` and ``await
    nursery.start(serve_socketserver, server)``, which returns the server. Trio accepts,
    and each request is handled in a worker thread, through the object's own methods.

    Like ``server.serve_forever()``, but nothing it starts outlives it, and it closes
    the object in the end.

    Args:
        server: An object of a class derived from `socketserver.TCPServer` or
            `socketserver.UDPServer`, such as `http.server.HTTPServer`; bound, and
            activated.
        max_concurrent_requests: The most requests that are handled at once. By default
            one, as the object does it, or any number if its class derives from
            `socketserver.ThreadingMixIn`.
        drain_timeout: Seconds that the requests have after a ``shutdown()`` before they
            are interrupted. The object's ``daemon_threads`` and ``block_on_close`` say
            whether they have any.
        handshake_timeout: Seconds that a client may take for its TLS handshake, if the
            object's listening socket is an `ssl.SSLSocket`.
        poll_interval: Seconds between two calls of an overridden ``service_actions()``.
        close: Whether to call ``server.server_close()`` in the end, however it comes.
            If not, the object can be served again.
        task_status: Told when the server accepts requests.

    Raises:
        TypeError: If the object cannot be driven; the message says what to do.
        AlreadyServingError: If it is being driven already.
        ServerClosedError: If it was closed before.
        ListenerBrokenError: If its socket does not listen, or can never accept again.
        OSError: If there is no descriptor left to begin with. It is closed, too.
        BaseException: What a request raised that is no `Exception`, and what the
            object's ``handle_error()`` raised; as itself if there is just one.

    Cancellation:
        Ends at once. A thread that waits for its client is woken up; one that computes
        is waited for, or left alone if the object has ``daemon_threads``.
    """
    check_object(server)
    if max_concurrent_requests is None:
        is_threading = isinstance(server, socketserver.ThreadingMixIn)
        max_concurrent_requests = math.inf if is_threading else 1
    check_setting("max_concurrent_requests", max_concurrent_requests)
    check_setting("drain_timeout", drain_timeout)
    check_seconds("handshake_timeout", handshake_timeout)
    check_seconds("poll_interval", poll_interval)
    settings = DriverSettings(
        max_concurrent_requests, drain_timeout, handshake_timeout, poll_interval
    )
    try:
        driver = Driver(server, settings)
    except OSError:
        if close:
            server.server_close()
        raise
    announcement = _Announcement(server, task_status)
    if close:
        await driver.serve_once(announcement)
    else:
        await driver.serve_and_leave_open(announcement)
