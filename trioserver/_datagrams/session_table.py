"""Who has a session, and who gets one.

Nothing here waits or does I/O.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import final

from trioserver._datagrams.datagram_socket import DatagramSocket
from trioserver._datagrams.receiver import Datagram
from trioserver._datagrams.session import DatagramSession, SessionLimits
from trioserver._datagrams.statistics import SessionCounts

# The peer's address, and where its datagrams were sent to: to two addresses of ours, it
# leads two dialogues.
Key = tuple[object, object]


@final
class SessionTable:
    """The sessions of a server, one for each peer.

    Anybody can forge addresses, and fill the table with peers that do not exist. None
    of those answers what it is sent. So a newcomer for whom there is no place gets that
    of the session which is silent for the longest time among those that are not
    *established*: whose peers have not sent anything since they were sent something.
    Linux's connection tracking does the same.
    """

    __slots__ = (
        "_counts",
        "_limits",
        "_on_refusal",
        "_running",
        "_sessions",
        "_tentative",
    )

    def __init__(
        self,
        limits: SessionLimits,
        counts: SessionCounts,
        running: Callable[[], int],
        on_refusal: Callable[[object], None],
    ) -> None:
        """Make a table without sessions.

        Args:
            limits: The settings of the server.
            counts: What has become of the datagrams.
            running: Returns how many handlers run: those of the sessions, and those of
                sessions that have ended and that have not noticed yet.
            on_refusal: Called with the address of a newcomer who gets no place.
        """
        self._limits = limits
        self._counts = counts
        self._running = running
        self._on_refusal = on_refusal
        self._sessions: dict[Key, DatagramSession] = {}
        # Those that are not established, the longest silent one first.
        self._tentative: dict[Key, DatagramSession] = {}

    def __len__(self) -> int:
        return len(self._sessions)

    @property
    def has_room(self) -> bool:
        """Whether another handler may run.

        As many again as there may be sessions: those that were evicted need a moment to
        end, and a flood must not make more and more of them.
        """
        return self._running() < 2 * self._limits.max_sessions

    def deliver(
        self, datagram: Datagram, sock: DatagramSocket
    ) -> DatagramSession | None:
        """Give *datagram* to the session of its peer. Return it if it is a new one.

        A newcomer's is dropped, and counted, if there is no place.
        """
        key = (datagram.address, sock.source)
        session = self._sessions.get(key)
        is_new = session is None
        if session is None:
            if not self._make_place():
                self.refuse(datagram)
                return None
            session = self._add(key, datagram.address, sock)
        session.deliver(datagram.data)
        self._note_arrival(key, session)
        return session if is_new else None

    def deliver_if_known(self, datagram: Datagram, sock: DatagramSocket) -> None:
        """Give *datagram* to the session of its peer, or drop it if it has none."""
        if (datagram.address, sock.source) in self._sessions:
            self.deliver(datagram, sock)
        else:
            self._counts.refused += 1

    def refuse(self, datagram: Datagram) -> None:
        """Drop *datagram*, for want of a place, and say so."""
        self._counts.refused += 1
        self._on_refusal(datagram.address)

    def end_all(self) -> None:
        """End every session: the server receives no more."""
        for session in list(self._sessions.values()):
            session.end("stopped")

    def _add(self, key: Key, address: object, sock: DatagramSocket) -> DatagramSession:
        session = self._sessions[key] = DatagramSession(
            address,
            sock,
            limits=self._limits,
            counts=self._counts,
            on_end=partial(self._remove, key),
        )
        self._counts.started += 1
        self._counts.peak_sessions = max(self._counts.peak_sessions, len(self))
        return session

    def _remove(self, key: Key) -> None:
        del self._sessions[key]
        self._tentative.pop(key, None)

    def _note_arrival(self, key: Key, session: DatagramSession) -> None:
        self._tentative.pop(key, None)
        if not session.is_established:
            self._tentative[key] = session

    def _make_place(self) -> bool:
        """Return whether there is a place, after an eviction if need be."""
        if not self.has_room:
            return False
        while len(self) >= self._limits.max_sessions:
            if not self._tentative:
                return False
            self._counts.evicted += 1
            next(iter(self._tentative.values())).end("evicted")
        return True
