"""`UDPSessionServer`: a server whose requests are dialogues over UDP."""

from __future__ import annotations

import logging
import math

import trio

from trioserver._datagrams.datagram_socket import DatagramSocket
from trioserver._datagrams.receiver import Datagram
from trioserver._datagrams.session import DatagramSession, DropPolicy
from trioserver._datagrams.session_table import SessionTable
from trioserver._datagrams.statistics import SessionCounts, SessionStatistics
from trioserver._engine.hooks import ClientAddress, Request
from trioserver._engine.log_interval import LogInterval
from trioserver._exception_groups import un_nested
from trioserver._exceptions import AlreadyServingError
from trioserver._handlers.datagram import DatagramRequestHandler
from trioserver._handlers.stream import StreamRequestHandler
from trioserver._log import escape, log
from trioserver._servers.base import HandlerFactory
from trioserver._servers.udp import UDPServer
from trioserver._streams.budget import Budget


class UDPSessionServer(UDPServer):
    """A server for UDP whose requests are sessions: `DatagramSession` objects.

    The first datagram of a peer begins one, and all further ones of that peer go to it.
    socketserver has nothing like it.

    What bounds a server is `max_sessions`, and not ``max_concurrent_requests``, which
    would stop it from receiving what known peers send.
    """

    max_concurrent_requests: float = math.inf
    """Cannot be changed here: see `max_sessions`."""

    max_sessions: float = 1000
    """The most sessions at once.

    A newcomer takes the place of the longest silent session that is not established.
    If all are, what it sends is dropped. It may be changed while the server runs.
    """

    session_timeout: float = 60.0
    """Seconds that a session waits for its peer, until it ends. `math.inf`: for ever.

    For sessions that begin from now on; of one, `DatagramSession.timeout` is it.
    """

    session_queue_size: int = 16
    """The most datagrams of one peer that wait until the handler receives them."""

    session_drop_policy: DropPolicy = "newest"
    """Which one is dropped if more come: ``"newest"``, or ``"oldest"``."""

    def __init__(
        self,
        server_address: ClientAddress,
        RequestHandlerClass: HandlerFactory,
        bind_and_activate: bool = True,
    ) -> None:
        """Make the socket; bind it, unless told not to. See `UDPServer`."""
        self._session_counts = SessionCounts()
        self._sessions = SessionTable(
            self, self._session_counts, lambda: self.requests_in_flight, self._refuse
        )
        self._refusals = LogInterval()
        self._routing = Budget()
        # Set when the one session of handle_request() has begun.
        self._single: trio.Event | None = None
        self._check_unlimited(self.max_concurrent_requests)
        super().__init__(server_address, RequestHandlerClass, bind_and_activate)

    def __setattr__(self, name: str, value: object) -> None:
        """Set an attribute, unless it is a limit that would stop the receiving."""
        if name == "max_concurrent_requests":
            self._check_unlimited(value)
        super().__setattr__(name, value)

    # For the caller

    def statistics(self) -> SessionStatistics:
        """Return how many datagrams have come so far, and what has become of them."""
        self._counts.look_at(self.socket)
        return self._session_counts.session_statistics(len(self._sessions))

    @trio.lowlevel.enable_ki_protection
    async def handle_request(self) -> None:
        """Wait for one session and see it to its end; like `BaseServer.handle_request`.

        Meanwhile, what newcomers send is dropped.

        Raises:
            AlreadyServingError: If an accept loop is running, or another call.
            ServerClosedError: If the server was closed, before or meanwhile.
            ListenerBrokenError: If its socket can never receive again.

        Cancellation:
            Nothing was received, or the session is cancelled.
        """
        self._serving.check_can_serve()
        self._check_not_waiting()
        self._single = has_begun = trio.Event()
        try:
            with un_nested():
                async with trio.open_nursery() as nursery:
                    nursery.start_soon(self._receive_for_known_peers, has_begun)
                    await super().handle_request()
                    nursery.cancel_scope.cancel()
        finally:
            self._single = None

    # For subclasses

    async def get_request(self) -> tuple[Request, ClientAddress]:
        """Receive until somebody new sends something. Return the session and who it is.

        A datagram that is truncated is a request of its own, as in `UDPServer`.

        Cancellation:
            What was received before is with its sessions.
        """
        while True:
            datagram, replies = await self._receive()
            request = self._route(datagram, DatagramSocket(datagram, replies))
            if request is not None:
                if self._single is not None:
                    self._single.set()
                return request, datagram.address
            await self._routing.spend()

    async def close_request(self, request: Request) -> None:
        """Close the session."""
        if isinstance(request, DatagramSession):
            request.close()

    # Inside

    _requests_are_short = False
    _unfit_handlers = (StreamRequestHandler, DatagramRequestHandler)

    def _route(
        self, datagram: Datagram, sock: DatagramSocket
    ) -> tuple[bytes, DatagramSocket] | DatagramSession | None:
        """Give *datagram* to its session. Return a request, if it makes one."""
        if not datagram.is_truncated:
            return self._sessions.deliver(datagram, sock)
        if self._sessions.has_room:
            return datagram.data, sock
        self._sessions.refuse(datagram)
        return None

    @trio.lowlevel.enable_ki_protection
    async def _receive_for_known_peers(self, has_begun: trio.Event) -> None:
        """Receive what comes while the session of `handle_request` runs."""
        await has_begun.wait()
        while True:
            try:
                datagram, replies = await self._receive()
            except trio.ClosedResourceError:
                return  # nothing more can come, and the session knows that
            except OSError as error:
                if self._serving.is_closed:
                    return
                # As in the accept loop: the next datagram comes all the same.
                await trio.sleep(self._failures.pause_after(error))
            else:
                self._failures.note_success()
                sock = DatagramSocket(datagram, replies)
                self._sessions.deliver_if_known(datagram, sock)
                await self._routing.spend()

    def _refuse(self, address: object) -> None:
        count = self._refusals.note()
        if count:
            log(
                logging.WARNING,
                f"Dropped a datagram from {escape(address)} to {self._where()}: there "
                f"is no place for another session, max_sessions is {self.max_sessions} "
                f"(such datagrams since the last line: {count})",
            )

    def _check_unlimited(self, limit: object) -> None:
        if limit != math.inf:
            message = (
                f"a {type(self).__name__} has max_sessions instead: at a limit of "
                "max_concurrent_requests it would not receive what known peers send"
            )
            raise ValueError(message)

    def _check_not_waiting(self) -> None:
        super()._check_not_waiting()
        if self._single is not None and self._single.is_set():
            message = "handle_request() is seeing a session through: one at a time"
            raise AlreadyServingError(message)

    def _make_counts(self) -> SessionCounts:
        return self._session_counts

    def _note_handled(self) -> None:
        """Leave the counting to the sessions."""

    def _close_at_once(self) -> None:
        super()._close_at_once()
        self._sessions.end_all()

    async def _drain(self) -> None:
        # Nothing more comes, and who waits for it would do so until it expires.
        self._sessions.end_all()
        await super()._drain()
