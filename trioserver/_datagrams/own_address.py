"""Recognize a datagram that says it comes from this very server.

Whoever can forge a source address can send such a one, and a server that answered it
would answer its own answer, for ever, and as fast as it can (CVE-2024-2169 has the
same between two servers).
"""

from __future__ import annotations

import socket
from typing import Final, cast, final

from trioserver._datagrams.packet_info import is_wildcard

_INTERNET: Final = (socket.AF_INET, socket.AF_INET6)


def is_bound(sock: socket.socket) -> bool:
    """Whether *sock* has an address that datagrams can be sent to."""
    try:
        address = sock.getsockname()
    except OSError:
        return False
    return bool(address[1] if sock.family in _INTERNET else address)


@final
class OwnAddress:
    """The address, or the addresses, that one socket sends from."""

    __slots__ = ("_address", "_family", "_is_wildcard")

    def __init__(self, sock: socket.socket) -> None:
        self._family = sock.family
        self._is_wildcard = is_wildcard(sock)
        self._address = sock.getsockname()

    def __contains__(self, address: object) -> bool:
        """Whether the socket itself sends from *address*."""
        if address == self._address:
            return True
        if not self._is_wildcard:
            return False
        host_and_port = cast("tuple[str, int]", address)
        # The port first: it is another one nearly always.
        return host_and_port[1] == self._address[1] and (
            _is_local(self._family, host_and_port)
        )


def _is_local(family: int, address: tuple[str, int]) -> bool:
    """Whether *address* is one of this machine's."""
    if address[0].removeprefix("::ffff:").startswith("127."):
        return True
    try:
        with socket.socket(family, socket.SOCK_DGRAM) as probe:
            # It sends nothing. To an address of its own, the kernel sends from that
            # address. (A bind() would also work where ip_nonlocal_bind is set.)
            probe.connect(address)
            local: str = probe.getsockname()[0]
    except OSError:
        return False
    return local == address[0]
