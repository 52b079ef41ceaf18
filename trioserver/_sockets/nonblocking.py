"""Let no call wait in Trio's thread, whatever others have made of a socket's mode.

Who has a socket can change its mode: a handler, and any process that shares it, since
O_NONBLOCK is a flag of what all the descriptors stand for (fcntl(2)).
"""

from __future__ import annotations

import socket
from typing import Final

# For one call, whatever the others say. Not there on Windows. As a plain number: a flag
# of the enum module takes 2 µs to be looked at.
DONT_WAIT: Final = int(getattr(socket, "MSG_DONTWAIT", 0))


def stay_nonblocking(sock: socket.socket) -> None:
    """Undo it if somebody has let *sock* wait.

    `DONT_WAIT` is not enough: with a time-out, Python itself waits before it calls.
    """
    if sock.gettimeout() != 0:
        sock.setblocking(False)
