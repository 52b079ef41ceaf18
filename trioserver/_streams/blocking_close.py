"""End a connection as `lingering_close` does, where there is no Trio to wait with."""

from __future__ import annotations

import socket
import time

from trioserver._streams.connection import RECEIVE_BYTES
from trioserver._streams.delivery import is_delivered
from trioserver._streams.lingering_close import DELIVERY_PAUSE


def half_close_and_linger_blocking(
    sock: socket.socket, *, linger_timeout: float, max_bytes: float, in_demand: bool
) -> None:
    """Send an end-of-file, then discard input until the peer sends its own.

    Args:
        sock: A socket that may block. It stays open; the caller closes it.
        linger_timeout: Seconds to wait for the peer.
        max_bytes: Bytes to discard before giving up.
        in_demand: Whether others wait for the place of this connection: then it is
            enough that the peer has acknowledged all of the reply.
    """
    deadline = time.monotonic() + linger_timeout
    pause = DELIVERY_PAUSE if in_demand else linger_timeout
    try:
        sock.shutdown(socket.SHUT_WR)
        while max_bytes > 0 and (left := deadline - time.monotonic()) > 0:
            sock.settimeout(min(left, pause))
            try:
                data = sock.recv(RECEIVE_BYTES)
            except TimeoutError:
                if in_demand and is_delivered(sock):
                    return
                continue
            if not data:
                return
            max_bytes -= len(data)
    except OSError:
        return  # the peer is gone, or the handler has closed the connection
