"""Join multicast groups."""

from __future__ import annotations

import ipaddress
import socket
import struct
import sys
from contextlib import suppress
from typing import Final

# struct ip_mreqn: group, address of the interface, number of the interface.
_IPV4: Final = struct.Struct("=4s4si")
# struct ipv6_mreq: group, number of the interface.
_IPV6: Final = struct.Struct("=16sI")

# Linux hands a socket that is bound to a wildcard every group that anybody on the
# machine has joined, unless it is told not to (ip(7)). Python has no names for it; the
# numbers are those of linux/in.h and linux/in6.h.
_OPTIONS_FOR_ALL: Final = {
    "linux": [(socket.IPPROTO_IP, 49), (socket.IPPROTO_IPV6, 29)],
}


def join_group(sock: socket.socket, group: str) -> None:
    """Let *sock* receive what is sent to *group*, and to no group that others join.

    Args:
        sock: A socket for UDP.
        group: ``"GROUP"`` or ``"GROUP%INTERFACE"``. An interface is given by its name,
            and for IPv4 also by an address of it. By default, the system chooses.

    Raises:
        OSError: If there is no such interface, or it cannot join.
    """
    host, _, interface = group.partition("%")
    address = ipaddress.ip_address(host)
    for level, option in _OPTIONS_FOR_ALL.get(sys.platform, []):
        with suppress(OSError):  # the other family's; IPv6's came with Linux 4.20
            sock.setsockopt(level, option, 0)
    if address.version == 4:  # noqa: PLR2004  # of the protocol
        membership = _IPV4.pack(address.packed, *_ipv4_interface(interface))
        sock.setsockopt(socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP, membership)
    else:
        membership = _IPV6.pack(address.packed, _index(interface))
        sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_JOIN_GROUP, membership)


def _ipv4_interface(interface: str) -> tuple[bytes, int]:
    """Return the address and the number of *interface*; one of them is zero."""
    try:
        return ipaddress.IPv4Address(interface).packed, 0
    except ValueError:
        return bytes(4), _index(interface)


def _index(interface: str) -> int:
    """Return the number of *interface*; 0 lets the system choose."""
    return socket.if_nametoindex(interface) if interface else 0
