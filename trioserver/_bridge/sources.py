"""Where the object's requests come from: its own socket, with Trio waiting for it."""

from __future__ import annotations

import socket
import socketserver
import ssl
from collections.abc import Callable
from contextlib import suppress
from typing import Final, Protocol, final

import trio

from trioserver._bridge.checking import (
    is_datagram_socket,
    is_original,
)
from trioserver._bridge.incoming import Incoming
from trioserver._bridge.loop_hooks import LoopHooks
from trioserver._bridge.stand_in import DatagramStandIn, ListenerStandIn
from trioserver._datagrams.paced_wait import PacedWait
from trioserver._engine.hooks import ClientAddress
from trioserver._engine.spinning_log import SpinningLog
from trioserver._open_descriptors import note_open
from trioserver._sockets.accept import accept, has_queued, is_listening
from trioserver._sockets.close import close_socket
from trioserver._sockets.nonblocking import DONT_WAIT

# Seconds for which a handler's sendto() may wait: as good as for ever. It must not be
# None, which would let the receiving wait, too: all descriptors of a socket share that.
SEND_TIMEOUT: Final = 3600.0

# What else may let a socket be readable in vain.
_ALSO: Final = "Or does get_request() raise BlockingIOError without having received?"


class Source(Protocol):
    """Requests, one after the other."""

    async def next(self) -> tuple[Incoming, ClientAddress]:
        """Wait for the next request.

        Raises:
            Exception: Whatever the object's ``get_request()`` raises.

        Cancellation:
            No request was taken, or it is closed.
        """
        ...

    def has_queued(self) -> bool:
        """Whether a request waits that somebody has promised to handle."""
        ...

    def is_sound(self) -> bool:
        """Whether requests can still come, whatever an error says."""
        ...

    def give_back(self, *, close: bool) -> None:
        """Give the object its socket back: closed, or in the mode that it had.

        May be called again.
        """


def source_of(
    server: socketserver.TCPServer, hooks: LoopHooks, where: Callable[[], str]
) -> Source:
    """Return where the requests of *server* come from, and make its socket ready.

    Args:
        server: The object.
        hooks: Who calls its ``get_request()``.
        where: Its address, for messages.

    Raises:
        OSError: If there is no descriptor left.
    """
    if is_datagram_socket(server.socket):
        return DatagramSource(server, hooks, where)
    return ConnectionSource(server, hooks)


@final
class TriosDuplicate(socket.socket):
    """A duplicate of the object's socket, for Trio's thread, which must not wait.

    Whoever has the object's socket has its mode, too, and may make it blocking: a
    handler, or another process that shares it.
    """

    @classmethod
    def of(cls, sock: socket.socket) -> TriosDuplicate:
        """Return a duplicate of *sock*, with a descriptor of its own.

        Not with its ``dup()``: that fails for TLS, and changes the mode of both.

        Raises:
            OSError: If there is no descriptor left.
        """
        return cls(sock.family, sock.type, sock.proto, socket.dup(sock.fileno()))

    def accept(self) -> tuple[socket.socket, object]:
        """Accept a connection if there is one, whoever has made the socket blocking."""
        # accept(2) has no flag that says so for one call.
        self.setblocking(False)
        return super().accept()


class _Borrowed:
    """The object's socket, and a duplicate that is Trio's.

    The object keeps its own socket, so that nobody can close what Trio waits for, and
    what the object says about its socket stays true. Both have one mode, though.
    """

    def __init__(self, server: socketserver.TCPServer) -> None:
        self.theirs: socket.socket = server.socket
        self.ours = TriosDuplicate.of(self.theirs)
        self._server = server
        self._timeout = self.theirs.gettimeout()
        self._is_borrowed = True
        self.ours.setblocking(False)

    def replace(self, stand_in: object) -> None:
        """Let the object see *stand_in* as its socket."""
        setattr(self._server, "socket", stand_in)  # noqa: B010  # it is no socket

    def give_back(self, *, close: bool) -> None:
        """Undo all of it. What is closed keeps its mode: it is others who have it."""
        if self._is_borrowed:
            self._is_borrowed = False
            self._server.socket = self.theirs
            trio.lowlevel.notify_closing(self.ours)
            close_socket(self.ours)
            if not close:
                with suppress(OSError):  # the object may have closed it
                    self.theirs.settimeout(self._timeout)
        if close:
            close_socket(self.theirs)


@final
class ConnectionSource:
    """The connections to the object's listening socket."""

    def __init__(self, server: socketserver.TCPServer, hooks: LoopHooks) -> None:
        self._server = server
        self._hooks = hooks
        self._borrowed = _Borrowed(server)
        self._listener = self._borrowed.theirs
        self._stand_in: ListenerStandIn | None = None
        if not is_original(server.get_request):
            self._stand_in = ListenerStandIn(self._listener)
            self._borrowed.replace(self._stand_in)

    async def next(self) -> tuple[Incoming, ClientAddress]:
        """Accept a connection; TLS begins later, in the request's own thread."""
        connection, address = await accept(self._borrowed.ours)
        try:
            note_open(connection)
            incoming = Incoming(connection, connection)
        except BaseException:
            connection.close()
            raise
        try:
            self._prepare(incoming, connection)
            return incoming, await self._address(incoming, address)
        except BaseException:
            incoming.close()
            raise

    def has_queued(self) -> bool:
        """Whether a client waits, who was told that it is connected."""
        return has_queued(self._borrowed.ours)

    def is_sound(self) -> bool:
        """Whether the socket still listens."""
        return is_listening(self._borrowed.ours)

    def give_back(self, *, close: bool) -> None:
        """Give the listening socket back."""
        self._borrowed.give_back(close=close)

    def _prepare(self, incoming: Incoming, connection: socket.socket) -> None:
        """Make the connection what the object's own listener would have made it."""
        if connection.gettimeout() is None:
            # BSD's inherit the mode of their listener.
            connection.setblocking(True)
        if isinstance(self._listener, ssl.SSLSocket):
            incoming.wrap(self._listener)

    async def _address(
        self, incoming: Incoming, address: ClientAddress
    ) -> ClientAddress:
        """Let an overridden ``get_request()`` do what it does to the connection."""
        if self._stand_in is None:
            return address
        self._stand_in.hand_over(incoming.request, address)
        incoming.request, address = await self._hooks.call(
            self._server.get_request, interrupt=incoming.interrupt
        )
        return address


@final
class DatagramSource:
    """The datagrams that come to the object's socket."""

    def __init__(
        self,
        server: socketserver.TCPServer,
        hooks: LoopHooks,
        where: Callable[[], str],
    ) -> None:
        self._server = server
        self._spinning = SpinningLog(where, _ALSO)
        self._hooks = hooks
        self._borrowed = _Borrowed(server)
        self._is_overridden = not is_original(server.get_request)
        self._keep_mode()
        if self._is_overridden:
            stand_in = DatagramStandIn(self._borrowed.theirs, self._borrowed.ours)
            self._borrowed.replace(stand_in)

    async def next(self) -> tuple[Incoming, ClientAddress]:
        """Receive a datagram."""
        await trio.lowlevel.checkpoint_if_cancelled()
        wait = PacedWait(self._borrowed.ours, self._spinning.note)
        if self._is_overridden:
            # Its get_request() takes a thread, which is not for trying.
            await wait.readable()
        while True:
            try:
                request, address = await self._receive()
            except BlockingIOError:
                await wait.readable()
            else:
                return Incoming(request), address

    def has_queued(self) -> bool:
        """Promise nothing: no sender knows whether its datagram has come."""
        return False

    def is_sound(self) -> bool:
        """Trust the error."""
        return False

    def give_back(self, *, close: bool) -> None:  # noqa: ARG002  # see below
        """Give the socket back. Requests answer through it, so it is not closed."""
        self._borrowed.give_back(close=False)

    async def _receive(self) -> tuple[object, ClientAddress]:
        self._keep_mode()
        if self._is_overridden:
            return await self._hooks.call(self._server.get_request)
        size = self._max_packet_size()
        # Even if a handler makes the socket blocking just now.
        data, address = self._borrowed.ours.recvfrom(size, DONT_WAIT)
        return (data, self._server.socket), address

    def _keep_mode(self) -> None:
        """Let handlers wait for room for their replies, and nobody for a datagram.

        Not once and for all: a handler may have made the socket blocking.
        """
        if not self._borrowed.theirs.gettimeout():
            self._borrowed.theirs.settimeout(SEND_TIMEOUT)
        # And what another process has done, no time-out here tells.
        self._borrowed.ours.setblocking(False)

    def _max_packet_size(self) -> int:
        return getattr(
            self._server, "max_packet_size", socketserver.UDPServer.max_packet_size
        )
