"""Look up the host that a datagram is sent to, if it is given by its name.

A socket would do so itself, and all tasks would wait for the answer of a name server.
"""

from __future__ import annotations

import socket
from typing import Final

import trio

from trioserver._datagrams.replies import Address
from trioserver._waiting import SelfWaiting

_INTERNET: Final = (socket.AF_INET, socket.AF_INET6)

# What sockets take for a host, and know without asking anybody.
_NO_NAMES: Final = frozenset({"", "<broadcast>"})


async def looked_up(address: Address, sock: socket.socket) -> Address:
    """Return *address* as *sock* can send to it without looking anything up.

    A checkpoint only if there is something to look up.

    Raises:
        OSError: A `socket.gaierror`, if there is no such host.
    """
    match address:
        case (str() | bytes() as host, int(port), *rest) if _is_to_ask(sock, host):
            kind = socket.SOCK_DGRAM
            found = await trio.socket.getaddrinfo(host, port, sock.family, kind)
            there = found[0][4]
            # Flow and scope are the caller's, if given (RFC 3493, 3.3).
            return (there[0], port, *rest, *there[2 + len(rest) :])
        case _:
            return address  # if it is wrong, the socket says so


def _is_to_ask(sock: socket.socket, host: str | bytes) -> bool:
    """Whether *sock* would ask somebody where *host* is."""
    if isinstance(sock, SelfWaiting) or sock.family not in _INTERNET:
        return False
    name = host if isinstance(host, str) else host.decode("latin-1")
    # Of a name with a NUL, a lookup would take the first half; a socket refuses it.
    if name in _NO_NAMES or "\0" in name:
        return False
    return not _is_address(name, sock.family)


def _is_address(host: str, family: int) -> bool:
    try:
        socket.inet_pton(family, host)
    except (OSError, UnicodeError):
        return False
    return True
