"""Tell whether the peer's kernel has everything that was sent to it."""

from __future__ import annotations

import socket
import struct
import sys
from typing import Final

# Elsewhere nobody can tell: FreeBSD has the name, too, but other numbers for the
# states, and zeros for what it does not know (its netinet/tcp.h).
_IS_LINUX: Final[bool] = sys.platform == "linux"
_TCP_INFO: Final[int | None] = getattr(socket, "TCP_INFO", None) if _IS_LINUX else None

# The states of Linux's tcp_states.h in which the peer has not acknowledged our
# end-of-file, which comes after all else: ESTABLISHED, FIN_WAIT1, CLOSE_WAIT,
# LAST_ACK, CLOSING.
_UNACKNOWLEDGED: Final = frozenset({1, 4, 8, 9, 11})


# Of Linux's struct tcp_info: tcpi_unacked, and tcpi_notsent_bytes, which came with 4.6.
_UNACKED: Final = struct.Struct("=24xI116xI")


def is_acknowledged(sock: socket.socket) -> bool:
    """Whether the peer has acknowledged all of the output, but for an end-of-file.

    To be asked before that is sent. False where the system cannot tell.
    """
    if _TCP_INFO is None:
        return False
    try:
        info = sock.getsockopt(socket.IPPROTO_TCP, _TCP_INFO, _UNACKED.size)
    except OSError:
        return True  # no TCP, see below
    return len(info) == _UNACKED.size and not any(_UNACKED.unpack(info))


def is_delivered(sock: socket.socket) -> bool:
    """Whether the peer has acknowledged all of the output, end-of-file included.

    False where the system cannot tell.
    """
    if _TCP_INFO is None:
        return False
    try:
        # The first byte of tcp_info is the state of the connection.
        state = sock.getsockopt(socket.IPPROTO_TCP, _TCP_INFO, 1)[0]
    except OSError:
        # No TCP: what was sent on a local socket is in the peer's queue at once.
        return True
    return state not in _UNACKNOWLEDGED
