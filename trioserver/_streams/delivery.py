"""Tell whether the peer's kernel has everything that was sent to it."""

from __future__ import annotations

import socket
from typing import Final

# Linux and some others; elsewhere nobody can tell.
_TCP_INFO: Final[int | None] = getattr(socket, "TCP_INFO", None)

# The states of Linux's tcp_states.h in which the peer has not acknowledged our
# end-of-file, which comes after all else: ESTABLISHED, FIN_WAIT1, CLOSE_WAIT,
# LAST_ACK, CLOSING.
_UNACKNOWLEDGED: Final = frozenset({1, 4, 8, 9, 11})


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
