"""Tell whether a connection is over in both directions."""

from __future__ import annotations

import select
import socket
from typing import Final

from trioserver._waiting import SelfWaiting

# Windows has none, and tells less.
_HAS_POLL: Final = hasattr(select, "poll")


def is_hung_up(sock: socket.socket) -> bool:
    """Whether the peer has reset *sock*, or both ends have sent their end-of-file."""
    if sock.fileno() == -1:
        return False
    if isinstance(sock, SelfWaiting):
        return sock.waiting.is_hung_up
    if not _HAS_POLL:
        return not _has_peer(sock)
    poll = select.poll()
    poll.register(sock, 0)
    return any(event & select.POLLHUP for _, event in poll.poll(0))


def _has_peer(sock: socket.socket) -> bool:
    try:
        sock.getpeername()
    except OSError:
        return False
    return True
