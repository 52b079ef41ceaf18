"""Ask poll(2), without waiting, what only it tells of a socket."""

from __future__ import annotations

import select
import socket


def has_events(sock: socket.socket, events: int) -> bool:
    """Whether *sock*, which is open, has one of *events* just now.

    Args:
        sock: A socket of the system's.
        events: ``select.POLL*``. 0, for a system that has none, is never the case.
    """
    if not events:
        return False
    poll = select.poll()
    poll.register(sock, events)
    return any(seen & events for _, seen in poll.poll(0))
