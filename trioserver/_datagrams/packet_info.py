"""Where a datagram was sent to, and how to answer from there.

A socket that is bound to a wildcard receives for many addresses, and the kernel would
answer from whichever it likes best: the client then gets a reply from a stranger, and
drops it. ``IP_PKTINFO`` and ``IPV6_PKTINFO`` tell the address, and take it back (ip(7),
RFC 3542 section 6).

What stands here does no I/O, but for setting the options.
"""

from __future__ import annotations

import socket
import struct
import sys
from contextlib import suppress
from typing import Final

# One item of ancillary data, as `socket.socket.sendmsg` takes it.
AncillaryItem = tuple[int, int, bytes]

# Python has no name for it before 3.14; Linux's linux/in.h says 8.
_IP_PKTINFO: Final[int] = getattr(
    socket, "IP_PKTINFO", 8 if sys.platform == "linux" else -1
)
_IPV6_RECVPKTINFO: Final[int] = getattr(socket, "IPV6_RECVPKTINFO", -1)
_IPV6_PKTINFO: Final[int] = getattr(socket, "IPV6_PKTINFO", -1)

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

# Where an item stands, and which.
_FROM_IPV4: Final = (socket.IPPROTO_IP, _IP_PKTINFO)
_FROM_IPV6: Final = (socket.IPPROTO_IPV6, _IPV6_PKTINFO)

# A socket for IPv6 may receive IPv4, too, and is then told both.
_OPTIONS: Final = {
    socket.AF_INET: [_FROM_IPV4],
    socket.AF_INET6: [(socket.IPPROTO_IPV6, _IPV6_RECVPKTINFO), _FROM_IPV4],
}
_WILDCARDS: Final = {socket.AF_INET: "0.0.0.0", socket.AF_INET6: "::"}  # noqa: S104  # compared


def is_wildcard(sock: socket.socket) -> bool:
    """Whether *sock* is bound to all addresses of its family."""
    wildcard = _WILDCARDS.get(sock.family)
    return wildcard is not None and sock.getsockname()[0] == wildcard


def ask_for_destinations(sock: socket.socket) -> None:
    """Let *sock* tell where each datagram was sent to, if it can receive for many.

    On a system that cannot, replies leave from where its kernel chooses.
    """
    if is_wildcard(sock):
        for level, option in _OPTIONS[sock.family]:
            with suppress(OSError):
                sock.setsockopt(level, option, 1)


def destination(ancillary: list[AncillaryItem]) -> str | None:
    """Return the address that a datagram was sent to; None if nobody has told.

    Of a multicast or broadcast on IPv4, the address of ours that it came in by.
    """
    for _level, kind, data in _telling(ancillary):
        if kind == _IP_PKTINFO:
            # What came before the option was set has its header only.
            ours = data[4:8] if any(data[4:8]) else data[8:12]
            return socket.inet_ntop(socket.AF_INET, ours)
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
        (level, kind, source)
        for level, kind, data in _telling(ancillary)
        if (source := _ipv4(data) if kind == _IP_PKTINFO else _ipv6(data))
    ]


def _telling(ancillary: list[AncillaryItem]) -> list[AncillaryItem]:
    """Return the one item that tells the destination, if there is one.

    Of two, that for IPv4: the other has the same address in IPv6's clothes, and of a
    broadcast or a multicast it has one that nobody can send from.
    """
    for wanted in (_FROM_IPV4, _FROM_IPV6):
        for item in ancillary:
            if item[:2] == wanted:
                return [item]
    return []


def _ipv4(data: bytes) -> bytes:
    if not any(data[4:8]):
        return b""  # it came before the option was set
    # The interface stays 0: naming it would make the kernel choose the first of its
    # addresses instead of the one given (ip(7)).
    return _IPV4.pack(0, data[4:8], bytes(4))


def _ipv6(data: bytes) -> bytes:
    address = data[:16]
    if address[0] == 0xFF:  # noqa: PLR2004  # RFC 4291, 2.7
        return b""  # a multicast; nobody can send from there
    # A link-local address, fe80::/10, says nothing without its interface.
    is_link_local = address[0] == 0xFE and address[1] & 0xC0 == 0x80  # noqa: PLR2004  # RFC 4291, 2.4
    return address + (data[16:20] if is_link_local else bytes(4))
