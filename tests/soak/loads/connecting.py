"""Sockets of clients, by the address that a server has told."""

from __future__ import annotations

import socket
import struct
from typing import Final

from soak.processes import Value

_LINGER_NOT: Final = struct.pack("ii", 1, 0)


def split(address: Value) -> tuple[socket.AddressFamily, str | tuple[str, int]]:
    """Return the family and the address, as the socket module has them."""
    if isinstance(address, str):
        return socket.AF_UNIX, address
    assert isinstance(address, list)
    host, port = address[:2]
    assert isinstance(host, str)
    assert isinstance(port, int)
    return socket.AF_INET, (host, port)


def connect(address: Value, kind: int = socket.SOCK_STREAM) -> socket.socket:
    """Return a socket that is connected, and does not block."""
    family, where = split(address)
    sock = socket.socket(family, kind)
    try:
        if (family, kind) == (socket.AF_UNIX, socket.SOCK_DGRAM):
            sock.bind("")  # a name that the system chooses, or there is no reply
        sock.connect(where)
    except BaseException:
        sock.close()
        raise
    sock.setblocking(False)
    return sock


def reset(sock: socket.socket) -> None:
    """Close with a reset."""
    if sock.family != socket.AF_UNIX:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _LINGER_NOT)
    sock.close()
