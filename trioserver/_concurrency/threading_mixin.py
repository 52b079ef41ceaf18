"""`ThreadingMixIn`: each request in a thread of its own."""

from __future__ import annotations

import inspect
import math
import socket
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager, nullcontext
from typing import Final

import trio

from trioserver._concurrency.request_sockets import make_blocking
from trioserver._concurrency.server_proxy import ServerProxy
from trioserver._concurrency.thread_hooks import THREAD_HOOKS, HooksInPlace
from trioserver._concurrency.thread_run import note_escaping
from trioserver._concurrency.threaded_requests import ThreadedRequests
from trioserver._datagrams.receiver import Datagram
from trioserver._datagrams.replies import Replies
from trioserver._datagrams.thread_socket import ThreadDatagram, ThreadDatagramSocket
from trioserver._engine.hooks import ClientAddress, Request, Server, ServerHooks
from trioserver._handlers.checking import check_threaded_handler
from trioserver._open_descriptors import note_open

# Two names of one setting.
_OTHER_NAME: Final = {
    "daemon_threads": "daemon_requests",
    "daemon_requests": "daemon_threads",
}


class ThreadingMixIn:
    """Runs the requests of a server in threads, so that handlers may block.

    For synchronous handlers: classes derived from those of ``socketserver``, and any
    other callable that is not asynchronous. A request is a blocking socket, or a pair
    of a datagram and a socket.

    Like socketserver's, which it is used like: ``class MyServer(ThreadingMixIn,
    TCPServer)``. In the thread of a request, as plain functions, run
    `process_request_thread`, ``finish_request``, the handler, ``handle_error``,
    ``shutdown_request`` and ``close_request``. All other hooks are asynchronous, and
    run in Trio's thread.

    A cancelled request cannot be made to stop, but what waits on its connection fails
    or returns an end-of-file at once, and what it awaits in Trio is cancelled. Then its
    thread is waited for, or, with `daemon_threads`, left alone.
    """

    daemon_threads: bool = False
    """Whether closing the server leaves the threads alone that are still running.

    The same setting as ``daemon_requests``, under its old name. Such a request is
    cancelled, and its thread goes on for as long as it likes.
    """

    block_on_close: bool = True
    """Whether ``server_close`` waits for the threads that are still running."""

    max_threads: float = math.inf
    """The most threads that run at once, those that were left alone included.

    Requests above that wait, after they were accepted. ``max_concurrent_requests``
    keeps them in the listen queue instead. It may be changed while the server runs.
    """

    daemon_requests: bool
    _thread_hooks: Callable[[], HooksInPlace]

    _requests_in_threads: ThreadedRequests

    def __setattr__(self, name: str, value: object) -> None:
        """Set an attribute; a setting takes effect at once."""
        super().__setattr__(name, value)
        if name in _OTHER_NAME:
            super().__setattr__(_OTHER_NAME[name], value)
        if name == "max_threads" and "_requests_in_threads" in self.__dict__:
            self._requests_in_threads.threads.limit = self.max_threads

    @property
    def thread_limiter(self) -> trio.CapacityLimiter:
        """What `max_threads` limits: its borrowed tokens are the threads that run."""
        return self._requests_in_threads.threads.limiter

    # For the caller

    async def server_close(self) -> None:
        """Close the server, and wait for its threads as the settings say.

        See `BaseServer.server_close`.
        """
        await super().server_close()  # type: ignore[misc]  # the server's

    # For subclasses

    async def process_request(
        self, request: Request, client_address: ClientAddress
    ) -> None:
        """Call `process_request_thread` in a thread.

        Like socketserver's, but it returns when the thread has ended.

        Raises:
            RuntimeError: If the system has no more threads.
            BaseException: Whatever ``handle_error`` raises, and what the handler raises
                that is no `Exception`.

        Cancellation:
            What waits on the connection ends; then the thread is waited for, or left
            alone.
        """
        await self._requests_in_threads.run(request, client_address)

    def process_request_thread(
        self, request: Request, client_address: ClientAddress
    ) -> None:
        """Finish *request*, report what it raises, and shut it down.

        Runs in the thread. An override of `process_request` may call it in threads of
        its own, too.
        """
        server = self._in_thread()
        try:
            server.finish_request(request, client_address)
        except Exception:
            _handle_error(server, request, client_address)
        except BaseException as error:
            note_escaping(error)
            raise
        finally:
            server.shutdown_request(request)

    # Inside

    # They wait for their threads.
    _requests_are_short = False

    def _in_thread(self) -> Server:
        """Return this server as threads see it."""
        is_proxy = isinstance(self, ServerProxy)
        return self if is_proxy else self._requests_in_threads.proxy

    def _is_in_demand(self) -> bool:
        """Whether a thread that only waits for its client is wanted elsewhere."""
        return (
            self._requests_in_threads.threads.is_full or super()._is_in_demand()  # type: ignore[misc]  # of StreamThreadHooks
        )

    def _engine_hooks(self) -> ServerHooks:
        _check_hooks(type(self))
        self.daemon_requests = _daemon_flag(type(self))
        self._requests_in_threads = ThreadedRequests(self, self._thread_hooks())
        return self._requests_in_threads

    def _check_handler(self, handler: object) -> None:
        check_threaded_handler(handler, type(self))

    def _beside_requests(self) -> AbstractAsyncContextManager[None]:
        return nullcontext()  # nobody waits for connections in Trio's thread

    def _stream_request(self, sock: socket.socket) -> Request:
        return note_open(make_blocking(sock))

    def _datagram_request(self, datagram: Datagram, replies: Replies) -> Request:
        sock = ThreadDatagramSocket.answering(datagram, replies.socket)
        return ThreadDatagram(datagram.data, sock)


def _handle_error(
    server: Server, request: Request, client_address: ClientAddress
) -> None:
    """Call the hook, and note what it raises: that shall end the server."""
    try:
        server.handle_error(request, client_address)
    except BaseException as error:
        note_escaping(error)
        raise


def _daemon_flag(class_: type) -> bool:
    """Return the setting from the class where it stands last, under either name."""
    found = (
        vars(base)[name]
        for base in class_.__mro__
        for name in _OTHER_NAME
        if name in vars(base)
    )
    return bool(next(found))


def _check_hooks(class_: type) -> None:
    """Refuse asynchronous overrides of hooks that threads call.

    Raises:
        TypeError: They could only be awaited in Trio's thread.
    """
    for name in sorted(THREAD_HOOKS):
        owner = next(base for base in class_.__mro__ if name in vars(base))
        is_ours = owner.__module__ == "trioserver"
        if not is_ours and inspect.iscoroutinefunction(vars(owner)[name]):
            message = (
                f"{owner.__name__}.{name} must be a plain function, not an "
                f"'async def': {class_.__name__} calls it in the request's thread"
            )
            raise TypeError(message)
