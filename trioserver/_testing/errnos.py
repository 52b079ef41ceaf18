"""How each operation on a socket can fail, as Linux documents it.

The sources are the pages of man-pages 6.03: of each call its own, accept(2) for one,
and ip(7), tcp(7), udp(7) and unix(7) for what the protocols add.

Left out, since no program gets to see it: EINTR, after which Python tries again by
itself (PEP 475), but for close(); EFAULT, which only a broken interpreter can cause;
and errors about arguments that are never passed, as EALREADY about MSG_FASTOPEN.
"""

from __future__ import annotations

import enum
import socket
from collections.abc import Mapping
from typing import Final


class Role(enum.Enum):
    """What a socket is for, on which depends what its operations can say."""

    LISTENER = "a listening socket"
    STREAM = "a connection"
    DATAGRAM = "a datagram socket"


# The descriptor is no socket any more: somebody else has closed it, and something else
# may have its number.
GONE: Final = ("EBADF", "ENOTSOCK")

# accept(2) "passes already-pending network errors on the new socket".
PENDING: Final = (
    "ENETDOWN",
    "EPROTO",
    "ENOPROTOOPT",
    "EHOSTDOWN",
    "ENONET",
    "EHOSTUNREACH",
    "EOPNOTSUPP",
    "ENETUNREACH",
)

# accept(2): what else "various Linux kernels can return".
_OF_SOME_KERNELS: Final = ("ENOSR", "ESOCKTNOSUPPORT", "EPROTONOSUPPORT", "ETIMEDOUT")

# tcp(7) and ip(7); unix(7) has ECONNRESET. recv(2) and send(2) for the rest.
_LOST: Final = ("ECONNRESET", "ETIMEDOUT", "EHOSTUNREACH", "ENOTCONN")

# ip(7), udp(7): an earlier datagram has found nobody, no way, or was too long for it.
_UNDELIVERED: Final = (
    "ECONNREFUSED",
    "EHOSTUNREACH",
    "ENETUNREACH",
    "ENETDOWN",
    "EMSGSIZE",
)

_RECEIVE_STREAM: Final = (*_LOST, "ECONNREFUSED", "ENOMEM", *GONE)
# select(2), BUGS: a datagram with a wrong checksum makes a socket readable, and is not
# there. Of streams, nothing of the kind is known.
_RECEIVE_DATAGRAM: Final = ("EAGAIN", *_UNDELIVERED, "ENOMEM", "EINVAL", *GONE)
_SEND_STREAM: Final = (*_LOST, "EPIPE", "EAGAIN", "ENOBUFS", "ENOMEM", *GONE)
_SEND_DATAGRAM: Final = (
    "EAGAIN",
    "EACCES",
    *_UNDELIVERED,
    "ECONNRESET",
    "ENOENT",  # unix(7)
    "EPERM",  # ip(7); a firewall's rule says so, too
    "EINVAL",  # ip(7): "a blackhole route"
    "ENOBUFS",
    "ENOMEM",
    *GONE,
)

# accept(2), listen(2) and socket(2) have EMFILE and ENFILE for no descriptor left,
# and ENOBUFS and ENOMEM for no memory.
EXHAUSTED: Final = ("EMFILE", "ENFILE", "ENOBUFS", "ENOMEM")

ERRNOS: Final[Mapping[tuple[str, Role | None], tuple[str, ...]]] = {
    # Where connections come from: accept(2).
    ("accept", Role.LISTENER): (
        *EXHAUSTED,
        "EAGAIN",
        "ECONNABORTED",
        "EPERM",
        *PENDING,
        *_OF_SOME_KERNELS,
        "EINVAL",
        *GONE,
    ),
    # What goes through a socket: recv(2), send(2).
    ("recv", Role.STREAM): _RECEIVE_STREAM,
    ("recv_into", Role.STREAM): _RECEIVE_STREAM,
    ("recvmsg", Role.STREAM): _RECEIVE_STREAM,
    ("recvfrom", Role.DATAGRAM): _RECEIVE_DATAGRAM,
    ("recvmsg", Role.DATAGRAM): _RECEIVE_DATAGRAM,
    ("send", Role.STREAM): _SEND_STREAM,
    ("sendall", Role.STREAM): _SEND_STREAM,
    ("sendmsg", Role.STREAM): _SEND_STREAM,
    ("sendto", Role.DATAGRAM): _SEND_DATAGRAM,
    ("sendmsg", Role.DATAGRAM): _SEND_DATAGRAM,
    # How a socket begins: socket(2), bind(2), listen(2), connect(2), dup(2).
    ("__init__", None): ("EACCES", "EAFNOSUPPORT", "EPROTONOSUPPORT", *EXHAUSTED),
    ("bind", None): ("EACCES", "EADDRINUSE", "EADDRNOTAVAIL", "EINVAL", *GONE),
    ("listen", None): ("EADDRINUSE", "EOPNOTSUPP", *GONE),
    ("connect", None): (
        "EACCES",
        "EAGAIN",
        "ECONNREFUSED",
        "ENETUNREACH",
        "ETIMEDOUT",
        "EPROTOTYPE",
        "EADDRNOTAVAIL",
    ),
    ("dup", None): ("EMFILE", "EBADF"),
    # What is asked about it: getsockname(2), getpeername(2), getsockopt(2).
    ("getsockname", None): ("ENOBUFS", *GONE),
    ("getpeername", None): ("ENOTCONN", "ENOBUFS", *GONE),
    ("getsockopt", None): ("ENOPROTOOPT", *GONE),
    ("setsockopt", None): ("ENOPROTOOPT", "EINVAL", "EPERM", "ENOMEM", *GONE),
    # How it ends: shutdown(2), close(2).
    ("shutdown", None): ("ENOTCONN", *GONE),
    ("close", None): ("EIO", "EINTR", "ENOSPC"),
    # How it is waited for: epoll_create(2), epoll_ctl(2).
    ("epoll_create", None): ("EMFILE", "ENFILE", "ENOMEM"),
    ("epoll_ctl_add", None): ("ENOMEM", "ENOSPC"),
    ("epoll_ctl_mod", None): ("ENOMEM",),
    ("epoll_ctl_del", None): ("ENOMEM",),
}
"""The names of the errnos of each operation; None: whatever the socket is for."""

ENDS_CONNECTION: Final = frozenset({*_LOST, "ECONNREFUSED", "EPIPE"})
"""After these, a connection is over in both directions."""

BREAKS_SOCKET: Final = frozenset({*GONE, "EINVAL"})
"""After these from accept() or a receive, every operation on the socket fails."""

TRANSFERS_PART: Final = frozenset({"recv", "recv_into", "recvmsg", "send", "sendmsg"})
"""What may transfer less than it was asked for, on a connection."""


def role_of(sock: socket.socket) -> Role:
    """Return what *sock* is for."""
    if sock.type == socket.SOCK_DGRAM:
        return Role.DATAGRAM
    # Not through the class that somebody may have put something else on.
    listens = super(socket.socket, sock).getsockopt(
        socket.SOL_SOCKET, socket.SO_ACCEPTCONN
    )
    return Role.LISTENER if listens else Role.STREAM


def errnos_of(operation: str, role: Role | None) -> tuple[str, ...]:
    """Return the names of the errnos that *operation* can fail with."""
    return ERRNOS.get((operation, role)) or ERRNOS.get((operation, None), ())
