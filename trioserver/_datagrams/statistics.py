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
