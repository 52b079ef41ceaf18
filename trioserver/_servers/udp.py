"""`UDPServer`: a server on a datagram socket."""

from __future__ import annotations

import logging
import socket as stdlib_socket
from typing import Final

from trioserver._concurrency.thread_hooks import DatagramThreadHooks, HooksInPlace
from trioserver._datagrams.datagram_socket import DatagramSocket
from trioserver._datagrams.receiver import Datagram, Receiver
from trioserver._datagrams.replies import Replies
from trioserver._datagrams.statistics import DatagramCounts, DatagramStatistics
from trioserver._engine.hooks import ClientAddress, Request, settled
from trioserver._engine.log_interval import LogInterval
from trioserver._log import escape, log
from trioserver._servers.base import HandlerFactory
from trioserver._servers.tcp import TCPServer

# No datagram of UDP is longer.
MAX_PACKET_SIZE: Final = 65535


class UDPServer(TCPServer):
    """A server for UDP: each datagram is a request, ``(data, socket)``.

    Like socketserver's, but asynchronous: ``await socket.sendto(data, address)``.
    Datagrams are handled at the same time, unless ``max_concurrent_requests`` is 1:
    then one after the other, in the order of their arrival. While the limit is reached,
    they wait in the system's queue, which drops those that find no room.

    Further method that may be overridden:

    - `handle_truncated`
    """

    socket_type: int = stdlib_socket.SOCK_DGRAM
    """The type of the socket."""

    allow_reuse_address: bool = False
    """Whether to bind although another socket, with the same option, has the address.

    Each datagram then goes to one of them, but a multicast to all.
    """

    max_packet_size: int = MAX_PACKET_SIZE
    """Bytes of a datagram that are received; longer ones go to `handle_truncated`."""

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
            bind_and_activate: Whether to call `server_bind` and `server_activate`. If
                not, the caller does, before serving.

        Raises:
            TypeError: If the address or the handler is of a wrong kind.
            OverflowError: If there is no such port.
            OSError: If the address cannot be bound; the socket is closed then.
        """
        self._receiver: Receiver | None = None
        self._replies: Replies | None = None
        self._counts = DatagramCounts()
        self._truncations = LogInterval()
        super().__init__(server_address, RequestHandlerClass, bind_and_activate)

    # For the caller

    def statistics(self) -> DatagramStatistics:
        """Return how many datagrams have come so far, and what has become of them."""
        self._counts.look_at(self.socket)
        return self._counts.statistics()

    # For subclasses

    def server_activate(self) -> None:
        """Do nothing: a bound socket receives. May be overridden."""

    async def get_request(self) -> tuple[Request, ClientAddress]:
        """Receive a datagram. Return it, with the socket, and who has sent it.

        Cancellation:
            Nothing was received.
        """
        receiver, replies = self._channel()
        datagram = await receiver.receive(self.max_packet_size)
        self._counts.received += 1
        return self._datagram_request(datagram, replies), datagram.address

    async def finish_request(
        self, request: Request, client_address: ClientAddress
    ) -> None:
        """Call `RequestHandlerClass`, or `handle_truncated`."""
        _data, sock = request
        if sock.is_truncated:
            self._counts.truncated += 1
            await settled(self.handle_truncated(request, client_address))
            return
        await super().finish_request(request, client_address)
        self._counts.handled += 1

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
        await settled(self.close_request(request))

    async def close_request(self, request: Request) -> None:
        """Do nothing: the socket is the server's."""

    # Inside

    def _datagram_request(self, datagram: Datagram, replies: Replies) -> Request:
        """Return a *datagram* as what handlers are given."""
        return datagram.data, DatagramSocket(datagram, replies)

    def _thread_hooks(self) -> HooksInPlace:
        return HooksInPlace(DatagramThreadHooks, UDPServer)

    def _channel(self) -> tuple[Receiver, Replies]:
        """Return what receives and what answers, made when they are first needed.

        Not in the constructor: `socket` may be replaced before serving.
        """
        if (
            self._receiver is None
            or self._replies is None
            or self._receiver.socket is not self.socket
        ):
            self._close_replies()
            self._replies = Replies(self.socket)
            self._receiver = Receiver(self.socket)
        return self._receiver, self._replies

    async def _start_queued(self) -> None:
        """Leave what waits: nobody has told its senders that it would be handled."""

    def _is_listening(self) -> bool:
        return False

    def _note_idle(self) -> None:
        # Requests may go on after the socket is closed, and send their replies.
        if self._serving.is_closed:
            self._close_replies()

    def _close_at_once(self) -> None:
        self._counts.look_at(self.socket)
        super()._close_at_once()
        if not self.requests_in_flight:
            self._close_replies()

    def _close_replies(self) -> None:
        if self._replies is not None:
            self._replies.close()
            self._replies = None
