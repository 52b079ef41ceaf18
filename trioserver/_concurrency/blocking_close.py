"""End a connection from a thread, so that the peer gets the whole reply.

What `trioserver._streams.lingering_close` does for tasks, with calls that block.
"""

from __future__ import annotations

import socket
import time
from collections.abc import Callable
from typing import Final

from trioserver._streams.connection import RECEIVE_BYTES
from trioserver._streams.delivery import is_delivered

# Seconds between two looks at whether there is a hurry, and whether the peer's kernel
# has all of the reply.
_LOOK_INTERVAL: Final = 0.05


def half_close_and_linger(
    sock: socket.socket,
    *,
    linger_timeout: float,
    max_bytes: float,
    in_demand: Callable[[], bool],
) -> None:
    """Send an end-of-file, then discard input until the peer sends its own.

    Where others wait for the thread, it also ends as soon as the peer has acknowledged
    all of the reply, where the system can tell. An interruption ends it at once.

    Args:
        sock: Stays open; the caller closes it.
        linger_timeout: Seconds to wait for the peer.
        max_bytes: Bytes to discard before giving up.
        in_demand: Whether others wait for the place of this connection.
    """
    deadline = time.monotonic() + linger_timeout
    try:
        sock.shutdown(socket.SHUT_WR)
        while max_bytes > 0 and (left := deadline - time.monotonic()) > 0:
            sock.settimeout(min(left, _LOOK_INTERVAL))
            try:
                received = len(sock.recv(RECEIVE_BYTES))
            except TimeoutError:
                if in_demand() and is_delivered(sock):
                    return
                continue
            if not received:
                return
            max_bytes -= received
    except OSError:
        # The peer is gone, or the handler has closed the connection.
        return
