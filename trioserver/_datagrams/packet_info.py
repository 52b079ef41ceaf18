"""Where a datagram was sent to, and how to answer from there.

A socket that is bound to a wildcard receives for many addresses, and the kernel would
answer from whichever it likes best: the client then gets a reply from a stranger, and
drops it. ``IP_PKTINFO`` and ``IPV6_PKTINFO`` tell the address, and take it back (ip(7),
RFC 3542 section 6).

What stands here does no I/O, but for setting the one option.
"""

from __future__ import annotations

import ipaddress
import socket
import struct
import sys
from typing import Final

# One item of ancillary data, as `socket.socket.sendmsg` takes it.
AncillaryItem = tuple[int, int, bytes]

# Python has no name for it before 3.14; Linux's linux/in.h says 8.
_IP_PKTINFO: Final[int | None] = getattr(
    socket, "IP_PKTINFO", 8 if sys.platform == "linux" else None
)
_IPV6_RECVPKTINFO: Final[int | None] = getattr(socket, "IPV6_RECVPKTINFO", None)
_IPV6_PKTINFO: Final[int | None] = getattr(socket, "IPV6_PKTINFO", None)

# struct in_pktinfo: interface, local address, destination in the header.
_IPV4: Final = struct.Struct("=i4s4s")
# struct in6_pktinfo: destination, interface.
_IPV6: Final = struct.Struct("=16sI")

# Bytes of ancillary data that one datagram can come with.
ANCILLARY_BYTES: Final = (
    socket.CMSG_SPACE(_IPV4.size) + socket.CMSG_SPACE(_IPV6.size)
    if hasattr(socket, "CMSG_SPACE")
    else 0
)

_WILDCARDS: Final = {
    socket.AF_INET: (socket.IPPROTO_IP, _IP_PKTINFO, "0.0.0.0"),  # noqa: S104  # compared
    socket.AF_INET6: (socket.IPPROTO_IPV6, _IPV6_RECVPKTINFO, "::"),
}


def ask_for_destinations(sock: socket.socket) -> None:
    """Let *sock* tell where each datagram was sent to, if it can receive for many.

    On a system that cannot, replies leave from where its kernel chooses.
    """
    if sock.family not in _WILDCARDS:
        return
    level, option, wildcard = _WILDCARDS[sock.family]
    if option is not None and sock.getsockname()[0] == wildcard:
        sock.setsockopt(level, option, 1)


def destination(ancillary: list[AncillaryItem]) -> str | None:
    """Return the address that a datagram was sent to; None if nobody has told.

    Of a multicast or broadcast on IPv4, the address of ours that it came in by.
    """
    for level, kind, data in ancillary:
        if (level, kind) == (socket.IPPROTO_IP, _IP_PKTINFO):
            return socket.inet_ntop(socket.AF_INET, data[4:8])
        if (level, kind) == (socket.IPPROTO_IPV6, _IPV6_PKTINFO):
            return socket.inet_ntop(socket.AF_INET6, data[:16])
    return None


def reply_source(ancillary: list[AncillaryItem]) -> list[AncillaryItem]:
    """Return what lets a reply leave from where its datagram was sent to.

    Args:
        ancillary: What came with the datagram.

    Returns:
        The same for `socket.socket.sendmsg`; empty if there is nothing to say.
    """
    return [
        (level, kind, made)
        for level, kind, data in ancillary
        if (made := _source(level, kind, data))
    ]


def _source(level: int, kind: int, data: bytes) -> bytes:
    if (level, kind) == (socket.IPPROTO_IP, _IP_PKTINFO):
        # The interface stays 0: naming it would make the kernel choose the first of
        # its addresses instead of the one given (ip(7)).
        return _IPV4.pack(0, data[4:8], bytes(4))
    if (level, kind) == (socket.IPPROTO_IPV6, _IPV6_PKTINFO):
        address = ipaddress.IPv6Address(data[:16])
        if address.is_multicast:
            return b""  # nobody can send from there
        # A link-local address says nothing without its interface.
        interface = data[16:20] if address.is_link_local else bytes(4)
        return data[:16] + interface
    return b""
