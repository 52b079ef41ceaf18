"""Whether somebody uses a socket's file, and who."""

from __future__ import annotations

import errno
import socket
from typing import Final

from trioserver._peer_credentials import peer_credentials

# Linux and the BSDs look the file's socket up first, and compare types afterwards. So
# the first kind also finds a stream socket that is bound and does not listen yet, and
# the server that listens is not disturbed by a connection. The second makes sure.
_KINDS: Final = (socket.SOCK_DGRAM, socket.SOCK_STREAM)

# No socket is bound there any more; the file itself is gone.
_UNUSED_ERRNOS: Final = frozenset({errno.ECONNREFUSED, errno.ENOENT})

# We are kept from finding out.
_DENIED_ERRNOS: Final = frozenset({errno.EACCES})


def is_in_use(address: str | bytes) -> bool:
    """Whether a socket of some process is bound to *address*.

    Raises:
        PermissionError: If that cannot be found out.
    """
    return any(_finds_somebody(kind, address) for kind in _KINDS)


def _finds_somebody(kind: int, address: str | bytes) -> bool:
    try:
        _connected(kind, address).close()
    except OSError as error:
        if error.errno in _DENIED_ERRNOS:
            raise
        # All other errors come from a socket that is there: of another type, with a
        # full queue, connected to somebody else.
        return error.errno not in _UNUSED_ERRNOS
    return True


def owner_of(address: str | bytes) -> int | None:
    """Return the number of the process that listens at *address*, if it can be told.

    It sees a connection that is closed at once.
    """
    try:
        with _connected(socket.SOCK_STREAM, address) as sock:
            return peer_credentials(sock).pid
    except OSError:
        return None


def _connected(kind: int, address: str | bytes) -> socket.socket:
    sock = socket.socket(socket.AF_UNIX, kind)
    try:
        # Whoever does not accept shall not make us wait.
        sock.setblocking(False)
        sock.connect(address)
    except BaseException:
        sock.close()
        raise
    return sock
