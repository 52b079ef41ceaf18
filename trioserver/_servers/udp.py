"""`UDPServer`: a server on a datagram socket."""

from __future__ import annotations

import logging
import socket as stdlib_socket
from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager, nullcontext
from typing import Final

import trio

from trioserver._concurrency.thread_hooks import DatagramThreadHooks, HooksInPlace
from trioserver._datagrams.datagram_socket import DatagramSocket
from trioserver._datagrams.multicast import join_group
from trioserver._datagrams.own_address import is_bound
from trioserver._datagrams.paced_wait import is_shut
from trioserver._datagrams.packet_info import ask_for_destinations
from trioserver._datagrams.receiver import MAX_DATAGRAM_BYTES, Datagram, Receiver
from trioserver._datagrams.replies import Replies
from trioserver._datagrams.statistics import DatagramCounts, DatagramStatistics
from trioserver._engine.hooks import (
    ClientAddress,
    Request,
    idle,
    is_idle,
    settled,
)
from trioserver._engine.log_interval import LogInterval
from trioserver._engine.spinning_log import SpinningLog
from trioserver._handlers.base import handled
from trioserver._handlers.checking import refuse_handlers
from trioserver._handlers.session import DatagramSessionHandler
from trioserver._handlers.stream import StreamRequestHandler
from trioserver._log import escape, log
from trioserver._servers.base import HandlerFactory
from trioserver._servers.tcp import TCPServer

# A flood may take some 4 MiB of memory then: a request that waits costs 7 KiB, and the
# datagram. A sender costs nothing, and can invent any number of addresses; for
# connections, descriptors are a limit anyway.
MAX_CONCURRENT_REQUESTS: Final = 500

# Datagrams that are received between two looks at what the kernel has dropped, which
# take 1 µs each.
LOOK_FOR_DROPS_EVERY: Final = 256


class UDPServer(TCPServer):
    """A server for UDP: each datagram is a request, ``(data, socket)``.

    Like socketserver's, but asynchronous: ``await socket.sendto(data, address)``.
    Datagrams are handled at the same time, unless ``max_concurrent_requests`` is 1:
    then one after the other, in the order of their arrival. While the limit is reached,
    they wait in the system's queue, which drops those that find no room.

    Further method for the caller:

    - `statistics`

    Further method that may be overridden:

    - `handle_truncated`
    """

    max_concurrent_requests: float = MAX_CONCURRENT_REQUESTS
    """The most datagrams that are handled at once; more wait in the system's queue.

    1 is the order of socketserver's plain servers. `math.inf` lets a flood take all of
    the memory. It may be changed while the server runs.
    """

    socket_type: int = stdlib_socket.SOCK_DGRAM
    """The type of the socket."""

    allow_reuse_address: bool = False
    """Whether to bind although another socket, with the same option, has the address.

    Each datagram then goes to one of them, but a multicast to all.
    """

    max_packet_size: int = MAX_DATAGRAM_BYTES
    """Bytes of a datagram that are received; longer ones go to `handle_truncated`."""

    multicast_groups: Sequence[str] = ()
    """Groups to join, each ``"GROUP"`` or ``"GROUP%INTERFACE"``.

    Joined by `server_activate`. The server must be bound to a wildcard, or to a group.
    """

    accept_own_datagrams: bool = False
    """Whether to handle datagrams that come from the server's own address and port.

    They are forged, or what the server has sent to a group of its own; to answer them
    would be to answer oneself, for ever.
    """

    def __init__(
        self,
        server_address: ClientAddress,
        RequestHandlerClass: HandlerFactory,
        bind_and_activate: bool = True,
    ) -> None:
        """Make the socket; bind it, unless told not to.

        Args:
            server_address: ``(host, port)``; port 0 lets the system choose one.
            RequestHandlerClass: See `BaseServer`.
            bind_and_activate: Whether to call `TCPServer.server_bind` and
                `server_activate`. If not, the caller does, before serving.

        Raises:
            TypeError: If the address or the handler is of a wrong kind.
            OverflowError: If there is no such port.
            OSError: If the address cannot be bound; the socket is closed then.
        """
        self._receiver: Receiver | None = None
        self._replies: Replies | None = None
        # Of sockets that were replaced while requests of theirs ran.
        self._outgrown: list[Replies] = []
        self._counts = self._make_counts()
        self._truncations = LogInterval()
        self._own_datagrams = LogInterval()
        self._drops = LogInterval()
        self._spinning = SpinningLog(self._where)
        self._drops_logged = 0
        super().__init__(server_address, RequestHandlerClass, bind_and_activate)

    # For the caller

    def statistics(self) -> DatagramStatistics:
        """Return how many datagrams have come so far, and what has become of them."""
        self._counts.look_at(self.socket)
        return self._counts.statistics()

    # For subclasses

    def server_activate(self) -> None:
        """Join the `multicast_groups`. May be overridden.

        Like socketserver's, which has nothing to do: a bound socket receives.
        """
        # Now, since the kernel remembers nothing about those that came before.
        ask_for_destinations(self.socket)
        for group in self.multicast_groups:
            join_group(self.socket, group)

    async def get_request(self) -> tuple[Request, ClientAddress]:
        """Receive a datagram. Return it, with the socket, and who has sent it.

        Cancellation:
            Nothing was received.
        """
        datagram, replies = await self._receive()
        return self._datagram_request(datagram, replies), datagram.address

    async def finish_request(
        self, request: Request, client_address: ClientAddress
    ) -> None:
        """Handle the datagram, or call `handle_truncated`."""
        if _is_truncated(request):
            await self._drop_truncated(request, client_address)
            return
        # What BaseServer does here, without waiting for it.
        await handled(self.RequestHandlerClass(request, client_address, self))
        self._note_handled()

    async def handle_truncated(
        self, request: Request, client_address: ClientAddress
    ) -> None:
        """Drop a datagram that was longer than `max_packet_size`, and log it.

        One line a second at most. Its beginning is in *request*; what was cut off is
        gone. May be overridden.

        Like socketserver, where the handler gets the beginning and cannot know.
        """
        count = self._truncations.note()
        if count:
            log(
                logging.WARNING,
                f"Dropped a datagram from {escape(client_address)} to {self._where()}: "
                f"it is longer than the max_packet_size of {self.max_packet_size} "
                f"bytes (such datagrams since the last line: {count})",
            )

    async def shutdown_request(self, request: Request) -> None:
        """Call `close_request`: a datagram has no end to be told."""
        if not is_idle(self.close_request):
            await settled(self.close_request(request))

    @idle
    async def close_request(self, request: Request) -> None:
        """Do nothing: the socket is the server's."""

    # Inside

    _requests_are_short = True
    _unfit_handlers: tuple[type, ...] = (StreamRequestHandler, DatagramSessionHandler)

    def _make_counts(self) -> DatagramCounts:
        return DatagramCounts()

    async def _receive(self) -> tuple[Datagram, Replies]:
        """Wait for a datagram that is to be handled. Return it, and who answers."""
        while True:
            receiver, replies = self._channel()
            datagram = await receiver.receive(self.max_packet_size)
            if self._is_to_handle(datagram, receiver):
                return datagram, replies
            # A flood of these shall starve nobody, either.
            await trio.lowlevel.checkpoint()

    def _get_queued(self) -> tuple[Request, ClientAddress] | None:
        # As get_request() would return it, unless that is somebody else's.
        if getattr(self.get_request, "__func__", None) is not UDPServer.get_request:
            return None
        receiver, replies = self._channel()
        datagram = receiver.receive_nowait(self.max_packet_size)
        if datagram is None or not self._is_to_handle(datagram, receiver):
            return None
        return self._datagram_request(datagram, replies), datagram.address

    def _is_to_handle(self, datagram: Datagram, receiver: Receiver) -> bool:
        """Count *datagram*, and drop it if it comes from the server itself."""
        counts = self._counts
        counts.received += 1
        if counts.received % LOOK_FOR_DROPS_EVERY == 0:
            self._look_for_drops()
        if self.accept_own_datagrams or datagram.address not in receiver.own_address:
            return True
        self._drop_own(datagram)
        return False

    def _note_handled(self) -> None:
        self._counts.handled += 1

    def _check_handler(self, handler: object) -> None:
        super()._check_handler(handler)
        refuse_handlers(handler, *self._unfit_handlers, what=type(self).__name__)

    def _look_for_drops(self) -> None:
        """Say how many datagrams the kernel has dropped since the last line."""
        self._counts.look_at(self.socket)
        dropped = (self._counts.dropped_by_kernel or 0) - self._drops_logged
        if dropped > 0 and self._drops.note():
            self._drops_logged += dropped
            log(
                logging.WARNING,
                f"The system has dropped datagrams to {self._where()}: they found no "
                f"room in its queue (since the last line: {dropped})",
            )

    def _drop_own(self, datagram: Datagram) -> None:
        self._counts.from_itself += 1
        count = self._own_datagrams.note()
        if count:
            log(
                logging.WARNING,
                f"Dropped a datagram that says it comes from {self._where()} itself, "
                f"as {escape(datagram.address)} (such datagrams since the last line: "
                f"{count})",
            )

    def _datagram_request(self, datagram: Datagram, replies: Replies) -> Request:
        """Return a *datagram* as what handlers are given."""
        return datagram.data, DatagramSocket(datagram, replies)

    def _thread_hooks(self) -> HooksInPlace:
        return HooksInPlace(DatagramThreadHooks, UDPServer)

    def _channel(self) -> tuple[Receiver, Replies]:
        """Return what receives and what answers, made when they are first needed.

        Not in the constructor: `socket` may be replaced before serving, and later.
        """
        if (
            self._receiver is None
            or self._replies is None
            or self._receiver.socket is not self.socket
        ):
            receiver = Receiver(self.socket, self._spinning.note)
            replies = Replies(self.socket)
            if self._replies is not None:
                self._outgrown.append(self._replies)
            self._receiver, self._replies = receiver, replies
        return self._receiver, self._replies

    def _beside_requests(self) -> AbstractAsyncContextManager[None]:
        # Nothing: there are no connections to wait for.
        return nullcontext()

    async def _start_queued(self) -> None:
        """Leave what waits: nobody has told its senders that it would be handled."""

    def _is_listening(self) -> bool:
        # What an error says is about one datagram, as long as there is a socket.
        return is_bound(self.socket) and not is_shut(self.socket)

    async def _process_here(
        self, request: Request, client_address: ClientAddress
    ) -> bool:
        if not _is_truncated(request):
            return False
        await self._drop_truncated(request, client_address)
        return True

    async def _drop_truncated(
        self, request: Request, client_address: ClientAddress
    ) -> None:
        self._counts.truncated += 1
        await settled(self.handle_truncated(request, client_address))

    def _note_idle(self) -> None:
        # Requests may go on after the socket is closed, and send their replies.
        self._close_replies(all_of_them=self._serving.is_closed)

    def _close_at_once(self) -> None:
        self._counts.look_at(self.socket)
        super()._close_at_once()
        if not self.requests_in_flight:
            self._close_replies(all_of_them=True)

    def _close_replies(self, *, all_of_them: bool) -> None:
        """Close what no request needs any more; none is running."""
        if all_of_them and self._replies is not None:
            self._outgrown.append(self._replies)
            self._replies = None
        for replies in self._outgrown:
            replies.close()
        self._outgrown.clear()


def _is_truncated(request: Request) -> bool:
    """Whether *request* was cut; an override of ``get_request`` may return any."""
    match request:
        case (_, DatagramSocket() as sock):
            return sock.is_truncated
        case _:
            return False
