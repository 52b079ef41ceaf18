"""What has become of the datagrams that were sent to a server."""

from __future__ import annotations

import socket
import struct
import sys
from contextlib import suppress
from typing import Final

import attrs

# SO_MEMINFO of Linux's asm-generic/socket.h: nine numbers, the last of which counts the
# datagrams that found no room in the socket's queue.
_SO_MEMINFO: Final = 55
_HAS_MEMINFO: Final[bool] = sys.platform == "linux"
_MEMINFO: Final = struct.Struct("=9I")


@attrs.frozen
class DatagramStatistics:
    """How many datagrams a server has received, and what has become of them."""

    received: int
    """All that the server took from the system, the truncated ones included."""

    truncated: int
    """Those that were longer than ``max_packet_size``."""

    handled: int
    """Those whose handlers have returned without an error."""

    from_itself: int
    """Those that said they came from the server's own address, and were dropped."""

    dropped_by_kernel: int | None
    """Those that found no room in the system's queue. None where it cannot tell.

    Up to now while the server is open; up to its end once it is closed.
    """


@attrs.frozen
class SessionStatistics(DatagramStatistics):
    """What a server with sessions tells beside.

    Its ``handled`` counts the datagrams that handlers have received.
    """

    sessions: int
    """Those that there are now."""

    peak_sessions: int
    """The most that there were at once."""

    started: int
    """All that have begun."""

    expired: int
    """Those that ended because their peers were silent."""

    evicted: int
    """Those that ended because a newcomer needed the place."""

    refused: int
    """Datagrams of newcomers for whom there was no place."""

    dropped_by_sessions: int
    """Datagrams that found no room in the queue of their session."""

    unread: int
    """Datagrams that were in the queue when their session was closed."""


@attrs.define
class DatagramCounts:
    """The same while it is counted."""

    received: int = 0
    truncated: int = 0
    handled: int = 0
    from_itself: int = 0
    dropped_by_kernel: int | None = None

    def look_at(self, sock: socket.socket) -> None:
        """Learn how many the kernel has dropped on *sock*, unless it is closed."""
        if not _HAS_MEMINFO or sock.fileno() == -1:
            return
        with suppress(OSError):  # Linux has it since 4.12
            info = sock.getsockopt(socket.SOL_SOCKET, _SO_MEMINFO, _MEMINFO.size)
            self.dropped_by_kernel = _MEMINFO.unpack(info)[-1]

    def statistics(self) -> DatagramStatistics:
        """Return a copy that no longer changes."""
        return DatagramStatistics(
            self.received,
            self.truncated,
            self.handled,
            self.from_itself,
            self.dropped_by_kernel,
        )


@attrs.define
class SessionCounts(DatagramCounts):
    """The same while it is counted."""

    peak_sessions: int = 0
    started: int = 0
    expired: int = 0
    evicted: int = 0
    refused: int = 0
    dropped_by_sessions: int = 0
    unread: int = 0

    def session_statistics(self, sessions: int) -> SessionStatistics:
        """Return a copy that no longer changes, of *sessions* that there are."""
        return SessionStatistics(
            **attrs.asdict(self.statistics()),
            sessions=sessions,
            peak_sessions=self.peak_sessions,
            started=self.started,
            expired=self.expired,
            evicted=self.evicted,
            refused=self.refused,
            dropped_by_sessions=self.dropped_by_sessions,
            unread=self.unread,
        )
