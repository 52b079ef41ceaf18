"""Who is at the other end of a Unix socket, as the kernel knows it.

What a peer says about itself can be forged, and so can its socket's name
(CVE-2019-7304); this cannot.
"""

from __future__ import annotations

import errno
import socket
import struct
import sys
from typing import Final

import attrs

# struct ucred of unix(7). Other systems have other options, with other structs.
_UCRED: Final = struct.Struct("=iII")
_SO_PEERCRED: Final[int | None] = (
    getattr(socket, "SO_PEERCRED", None) if sys.platform == "linux" else None
)


@attrs.frozen
class PeerCredentials:
    """The process at the other end of a Unix socket, as it was when it connected."""

    pid: int
    """Its number; 0 for a process that this one cannot see.

    It may have ended since, and the number be another's: decide by `uid` or `gid`.
    """

    uid: int
    """The user that it ran as."""

    gid: int
    """The group that it ran as; it may have been in others, too."""


def peer_credentials(sock: socket.socket) -> PeerCredentials:
    """Return who has connected to *sock*; of a client's socket, who listens.

    Raises:
        OSError: If the kernel knows no such thing: it is no Unix socket, it is not
            connected, or this is not Linux.
    """
    # For TCP, Linux answers with the user 4294967295 instead of an error.
    if _SO_PEERCRED is None or sock.family != socket.AF_UNIX:
        message = "only a Unix socket has peer credentials, and only on Linux"
        raise OSError(errno.ENOPROTOOPT, message)
    found = sock.getsockopt(socket.SOL_SOCKET, _SO_PEERCRED, _UCRED.size)
    return PeerCredentials(*_UCRED.unpack(found))
