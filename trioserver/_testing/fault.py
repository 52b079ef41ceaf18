"""One failure of one operation on a socket, and what may follow from it."""

from __future__ import annotations

import errno
import math
import os
from typing import Final

import attrs

from trioserver._testing.errnos import ENDS_CONNECTION, GONE, Role
from trioserver._testing.lane import Lane

SHORT: Final = "transfers one byte"
"""In the place of an errno's name."""

RECEIVING: Final = frozenset({"accept", "recv", "recv_into", "recvfrom", "recvmsg"})
"""What has to wait until something has come."""

SENDING: Final = frozenset({"send", "sendall", "sendmsg", "sendto"})
"""What has to wait until there is room."""

# What a client can cause whenever it likes: to vanish, not to be reached.
_BY_CLIENTS: Final = frozenset(
    {
        "ECONNABORTED",
        "ECONNREFUSED",
        "ECONNRESET",
        "EHOSTUNREACH",
        "ENETUNREACH",
        "EPIPE",
        "ETIMEDOUT",
    }
)


@attrs.frozen
class Fault:
    """One failure of one operation."""

    operation: str
    """A method of `socket.socket`, or what is done to an epoll."""

    failure: str
    """The name of an errno, or `SHORT`."""

    role: Role | None = None
    """What the socket was for; None for an epoll, and for a socket that is made."""

    where: str = ""
    """The line that called it."""

    lane: Lane = Lane.TRIO
    """What called it."""

    is_servers: bool = False
    """Whether the socket is the server's own, and not one of a single request."""

    def __str__(self) -> str:
        """Say what failed, and where."""
        on = "" if self.role is None else f"on {self.role.value}"
        words = (f"{self.operation}()", self.failure, on, self.lane.place)
        return f"{' '.join(filter(None, words))}, at {self.where}"

    @property
    def breaks_socket(self) -> bool:
        """Whether from now on nothing works any more on the same socket."""
        if self.failure == "EINVAL":
            # accept(2): it does not listen. Elsewhere it is about an argument.
            return self.operation in RECEIVING
        return self.failure in GONE

    @property
    def breaks_server(self) -> bool:
        """Whether that socket is the server's own."""
        return self.breaks_socket and self.is_servers

    @property
    def ends_connection(self) -> bool:
        """Whether the connection is over, if it is one."""
        return self.role is Role.STREAM and self.failure in ENDS_CONNECTION

    @property
    def is_by_client(self) -> bool:
        """Whether a client can cause it at will, so that it may not fill the log."""
        return self.failure in _BY_CLIENTS and self.operation in RECEIVING | SENDING

    @property
    def max_harmed(self) -> float:
        """How many clients may notice it."""
        if self.breaks_server:
            return math.inf
        # Those that come to be accepted wait, and what is closed has done its work.
        is_harmless = self.failure in {SHORT, "EAGAIN"}
        return 0 if is_harmless or self.operation in {"accept", "close"} else 1

    def error(self) -> OSError:
        """Return what is raised."""
        return os_error(self.failure)


def os_error(name: str) -> OSError:
    """Return the error of the errno *name*, of the class that Python has for it."""
    number: int = getattr(errno, name)
    return OSError(number, os.strerror(number))
