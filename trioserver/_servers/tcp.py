"""`TCPServer`: a server on a listening stream socket."""

from __future__ import annotations

import inspect
import logging
import os
import socket as stdlib_socket
import weakref
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager, nullcontext, suppress
from functools import partial
from typing import Final

import trio

from trioserver._concurrency.thread_hooks import HooksInPlace, StreamThreadHooks
from trioserver._engine.accept_queue import start_queued
from trioserver._engine.hooks import ClientAddress, Request, settled
from trioserver._log import describe, log
from trioserver._open_descriptors import note_open
from trioserver._servers.base import BaseServer, HandlerFactory
from trioserver._sockets.accept import accept, has_queued, is_listening
from trioserver._sockets.addresses import check_address, infer_family
from trioserver._sockets.bind import (
    MAX_BACKLOG,
    REUSE_ADDRESS_IS_SAFE,
    bind,
    listen,
    make_socket,
    set_reuse,
)
from trioserver._sockets.close import close_socket
from trioserver._sockets.newcomers import turn_newcomers_away
from trioserver._sockets.sharing import may_be_shared
from trioserver._streams.connection import Connection
from trioserver._streams.edge_poller import HAS_EPOLL, EdgePoller
from trioserver._streams.edge_readiness import EdgeReadiness
from trioserver._streams.lingering_close import (
    LINGER_TIMEOUT,
    MAX_LINGER_BYTES,
    half_close_after_peer,
    half_close_and_linger,
)
from trioserver._streams.readiness import Readiness
from trioserver._waiting import SelfWaiting, notify_closing


class TCPServer(BaseServer):
    """A server for TCP.

    Like socketserver's, but asynchronous. An address with an IPv6 literal needs no
    `address_family`.
    """

    address_family: int = stdlib_socket.AF_INET
    """The family of the socket."""

    socket_type: int = stdlib_socket.SOCK_STREAM
    """The type of the socket."""

    request_queue_size: int = MAX_BACKLOG
    """How many connections the kernel may keep waiting; it has a maximum of its own."""

    allow_reuse_address: bool = REUSE_ADDRESS_IS_SAFE
    """Whether to bind although connections of a predecessor linger."""

    allow_reuse_port: bool = False
    """Whether several sockets may listen on the same port."""

    edge_triggered: bool = HAS_EPOLL
    """Whether connections wait in an epoll of the server's own, which is faster.

    Otherwise each waits as Trio does. Read when a connection is accepted.
    """

    linger_timeout: float = LINGER_TIMEOUT
    """Seconds that a request's end waits for the client to close, too."""

    max_linger_bytes: float = MAX_LINGER_BYTES
    """Bytes that are read and thrown away while waiting for that."""

    socket: stdlib_socket.socket
    """The listening socket."""

    def __init__(
        self,
        server_address: ClientAddress,
        RequestHandlerClass: HandlerFactory,
        bind_and_activate: bool = True,
    ) -> None:
        """Make the socket; bind it and listen, unless told not to.

        Args:
            server_address: ``(host, port)``; port 0 lets the system choose one.
            RequestHandlerClass: See `BaseServer`.
            bind_and_activate: Whether to call `server_bind` and `server_activate`. If
                not, the caller does, before serving.

        Raises:
            TypeError: If the address or the handler is of a wrong kind.
            OverflowError: If there is no such port.
            OSError: If the address cannot be bound; the socket is closed then.
        """
        self._poller = EdgePoller()
        super().__init__(server_address, RequestHandlerClass)
        self.address_family = infer_family(self.address_family, server_address)
        check_address(self.address_family, server_address)
        sock = make_socket(self.address_family, self.socket_type)
        try:
            self._own(sock)
            if bind_and_activate:
                _call_plain(self.server_bind)
                _call_plain(self.server_activate)
        except BaseException:
            # Not through server_close(): a subclass's own is not ready for it.
            self._release_address()
            close_socket(sock)
            raise

    # For subclasses

    def server_bind(self) -> None:
        """Bind the socket, and learn its address. May be overridden."""
        set_reuse(
            self.socket, address=self.allow_reuse_address, port=self.allow_reuse_port
        )
        bind(self.socket, self.server_address)
        self.server_address: ClientAddress = self.socket.getsockname()

    def server_activate(self) -> None:
        """Begin to listen. May be overridden."""
        listen(self.socket, self.request_queue_size)

    def fileno(self) -> int:
        """Return the descriptor of the socket; -1 once it is closed."""
        return self.socket.fileno()

    async def get_request(self) -> tuple[Request, ClientAddress]:
        """Accept a connection. Return it with the address that accept(2) gave.

        Cancellation:
            Nothing was accepted.
        """
        if self.socket.gettimeout() != 0:
            self._adopt_listener()
        sock, address = await accept(self.socket)
        try:
            return self._stream_request(sock), address
        except BaseException:
            close_socket(sock)
            raise

    async def shutdown_request(self, request: Request) -> None:
        """Let the client have all of the reply, then close.

        Half-closes the connection, reads and discards until the client closes too, for
        at most `linger_timeout` seconds and `max_linger_bytes` bytes, and calls
        `close_request`.

        Like socketserver's, where the end of a reply is lost when the client had sent
        more than was read.

        Cancellation:
            The connection is closed.
        """
        if not isinstance(request, Connection):
            # Others have their own way to say good-bye, a TLS stream for one, and may
            # wait for their peers; cancelled, they close all the same.
            with trio.move_on_after(self.linger_timeout):
                await settled(self.close_request(request))
            return
        try:
            # Most clients close first, and there is nothing to wait for.
            if not half_close_after_peer(request):
                await half_close_and_linger(
                    request,
                    linger_timeout=self.linger_timeout,
                    max_bytes=self.max_linger_bytes,
                    in_demand=self._admission.is_full,
                )
        finally:
            if self._closes_as_all_do():
                request.close()
            else:
                await settled(self.close_request(request))

    async def close_request(self, request: Request) -> None:
        """Close the connection."""
        if isinstance(request, Connection):
            request.close()  # its task ends next, which lets others run as well
        elif isinstance(request, trio.abc.AsyncResource):
            await request.aclose()

    def __setattr__(self, name: str, value: object) -> None:
        """Set an attribute, as every server does. A `socket` is the server's own."""
        if name == "socket" and isinstance(value, stdlib_socket.socket):
            note_open(value)
        super().__setattr__(name, value)

    # Inside

    def _own(self, sock: stdlib_socket.socket) -> None:
        """Have *sock*, which this process has made for this server."""
        self.socket = sock
        self._made_here = (weakref.ref(sock), os.getpid())

    def _stream_request(self, sock: stdlib_socket.socket) -> Request:
        """Return an accepted *sock* as what handlers are given."""
        return Connection(sock, readiness=self._readiness(sock))

    def _closes_as_all_do(self) -> bool:
        """Whether `close_request` was not overridden, and need not be called."""
        return getattr(self.close_request, "__func__", None) is _CLOSE_REQUEST

    def _thread_hooks(self) -> HooksInPlace:
        return HooksInPlace(StreamThreadHooks, TCPServer)

    def _readiness(self, sock: stdlib_socket.socket) -> Readiness | None:
        """Return how to wait for *sock*; None is Trio's own way."""
        if not self.edge_triggered or isinstance(sock, SelfWaiting):
            return None
        return EdgeReadiness(sock, self._poller, family=self.socket.family)

    def _beside_requests(self) -> AbstractAsyncContextManager[None]:
        return self._poller.running() if self.edge_triggered else nullcontext()

    async def _start_queued(self) -> None:
        if not self._owns_listener():
            # Shared, perhaps: its queue lives on with others.
            return
        sock = self.socket
        is_shared = may_be_shared(sock)
        try:
            # Nobody else gets in; those who are in can still be accepted. A filter
            # would outlive this process in whoever else has the socket.
            if is_shared or not turn_newcomers_away(sock):
                sock.listen(0)
        except OSError as error:
            log(logging.DEBUG, f"The listen queue stays open: {describe(error)}")
            if not self._is_listening():
                return
        try:
            await start_queued(
                partial(has_queued, sock),
                self._get_request,
                self._requests.start,
                admission=self._admission,
                failures=self._failures,
                max_wait=self.drain_timeout,
                is_closed=lambda: self._serving.is_closed,
            )
        finally:
            if is_shared:
                with suppress(OSError):  # closed meanwhile
                    sock.listen(self.request_queue_size)

    def _owns_listener(self) -> bool:
        """Whether this process made the socket, and so nobody else listens on it.

        One that was put here comes from elsewhere, from systemd for example, and one
        that was made before a fork is the parent's as well.
        """
        made_here, pid = self._made_here
        return made_here() is self.socket and pid == os.getpid()

    def _adopt_listener(self) -> None:
        """Make a socket that somebody put here fit for many tasks."""
        if hasattr(self.socket, "do_handshake"):
            message = (
                "a listening socket that is wrapped for TLS would do each handshake "
                "while all other clients wait: leave it plain, and let get_request() "
                "wrap each connection in a trio.SSLStream"
            )
            raise TypeError(message)
        self.socket.setblocking(False)

    def _is_listening(self) -> bool:
        return is_listening(self.socket)

    def _release_address(self) -> None:
        """Give back what `server_bind` has taken, while the socket is still open."""

    def _close_at_once(self) -> None:
        # First, so that the accept loop ends by being cancelled, and not by an error.
        super()._close_at_once()
        if self.socket.fileno() != -1:
            self._release_address()
            # Wake who else waits, before the descriptor's number is free.
            notify_closing(self.socket)
            close_socket(self.socket)


# What the class has now, and not what somebody may put in its place.
_CLOSE_REQUEST: Final = TCPServer.close_request


def _call_plain(hook: Callable[[], object]) -> None:
    """Call *hook*, or refuse it if somebody would have to wait for it."""
    result = hook()
    if inspect.iscoroutine(result):
        result.close()
        message = (
            f"{result.__qualname__} must be a plain function, not an 'async def': the "
            "constructor calls it, and cannot wait for anything"
        )
        raise TypeError(message)
