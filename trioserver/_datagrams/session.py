"""`DatagramSession`: the dialogue with one peer."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Literal, Protocol, final

import trio

from trioserver._datagrams.datagram_socket import DatagramSocket
from trioserver._datagrams.replies import Buffer
from trioserver._datagrams.statistics import SessionCounts
from trioserver._streams.budget import Budget

SessionEnd = Literal["expired", "evicted", "stopped", "closed"]

DropPolicy = Literal["newest", "oldest"]


class SessionLimits(Protocol):
    """The settings of a server that bound its sessions."""

    max_sessions: float
    session_timeout: float
    session_queue_size: int
    session_drop_policy: DropPolicy


@final
class DatagramSession(trio.abc.Channel[bytes]):
    """What one peer sends, and what it is sent: a channel of datagrams.

    ``async for data in session`` goes on until the session ends: because nothing has
    come for ``session_timeout`` seconds, because the server stops, or because a
    newcomer needs the place. A peer that sends again later begins a new session.
    """

    __slots__ = (
        "_arrivals",
        "_budget",
        "_counts",
        "_has_sent",
        "_limits",
        "_on_end",
        "_queue",
        "client_address",
        "dropped",
        "end_reason",
        "is_established",
        "socket",
        "timeout",
    )

    def __init__(
        self,
        client_address: object,
        sock: DatagramSocket,
        *,
        limits: SessionLimits,
        counts: SessionCounts,
        on_end: Callable[[], None],
    ) -> None:
        self.client_address: object = client_address
        """Who the peer is."""
        self.socket: DatagramSocket = sock
        """What sends to anybody, from the address that the peer knows."""
        self.timeout: float = limits.session_timeout
        """Seconds to wait for the next datagram; ``session_timeout`` at first."""
        self.end_reason: SessionEnd | None = None
        """Why nothing more will come; None as long as something may.

        ``"expired"``: nothing came for `timeout` seconds. ``"stopped"``: the server
        receives no more. ``"evicted"``: a newcomer has the place. ``"closed"``: this
        end did it.
        """
        self.is_established: bool = False
        """Whether the peer has sent something after it was sent something."""
        self.dropped: int = 0
        """The peer's datagrams that found no room in the session's queue."""
        self._limits = limits
        self._counts = counts
        self._on_end = on_end
        self._has_sent = False
        self._queue: deque[bytes] = deque()
        self._arrivals = trio.lowlevel.ParkingLot()
        self._budget = Budget()

    def __repr__(self) -> str:
        state = self.end_reason or f"{len(self._queue)} waiting"
        return f"<DatagramSession with {self.client_address!r}, {state}>"

    # For the handler

    async def receive(self) -> bytes:
        """Return the peer's next datagram, waiting at most `timeout` seconds for it.

        Always a cancellation point; lets other tasks run now and then.

        Raises:
            trio.EndOfChannel: If the session has ended, and all that came before was
                returned.
            trio.ClosedResourceError: If this end was closed.

        Cancellation:
            Nothing was received.
        """
        await self._budget.spend()
        if not self._queue:
            await self._wait()
        if self._queue:
            self._counts.handled += 1
            return self._queue.popleft()
        if self.end_reason == "closed":
            raise trio.ClosedResourceError
        raise trio.EndOfChannel

    async def send(self, value: Buffer) -> None:
        """Send *value* to the peer as one datagram. Works after the end, too.

        Raises:
            OSError: As `DatagramSocket.sendto` does.
            trio.ClosedResourceError: If this end was closed.

        Cancellation:
            Nothing was sent.
        """
        if self.end_reason == "closed":
            await trio.lowlevel.checkpoint()
            raise trio.ClosedResourceError
        await self.socket.sendto(value, self.client_address)
        self._has_sent = True

    async def aclose(self) -> None:
        """End the session for good. What the peer has sent and nobody read is lost."""
        self.close()
        await trio.lowlevel.checkpoint()

    def close(self) -> None:
        """End the session as `aclose` does, without waiting for anything."""
        self._counts.unread += len(self._queue)
        self._queue.clear()
        self.end("closed")
        self.end_reason = "closed"

    # For the server

    def deliver(self, data: bytes) -> None:
        """Queue a datagram that has come; if there is no room, drop one."""
        self.is_established = self._has_sent
        if len(self._queue) >= self._limits.session_queue_size:
            self.dropped += 1
            self._counts.dropped_by_sessions += 1
            if self._limits.session_drop_policy == "newest":
                return
            self._queue.popleft()
        self._queue.append(data)
        self._arrivals.unpark()

    def end(self, reason: SessionEnd) -> None:
        """Let nothing more come. What is queued can still be received."""
        if self.end_reason is None:
            self.end_reason = reason
            self._on_end()
            self._arrivals.unpark_all()

    # Inside

    async def _wait(self) -> None:
        """Wait until there is something to receive, or the session has ended."""
        with trio.move_on_after(self.timeout) as waiting:
            while not self._queue and self.end_reason is None:
                await self._arrivals.park()
        # Something may have come between the end of the wait and this.
        if waiting.cancelled_caught and not self._queue:
            self._counts.expired += self.end_reason is None
            self.end("expired")
