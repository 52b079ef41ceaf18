"""Bind a socket to a Unix address, whichever kind of address it is."""

from __future__ import annotations

import errno
import socket

from trioserver._sockets.unix_claim import UnixClaim, explaining, in_use
from trioserver._sockets.unix_path import parse_unix_address


def bind_unix(
    sock: socket.socket, address: object, *, mode: int, allow_takeover: bool
) -> tuple[str | bytes, UnixClaim | None]:
    """Bind *sock*; a stream socket is found at its path when that is published.

    Args:
        sock: Not bound yet.
        address: A path, or an abstract name with a NUL in front.
        mode: The permissions of the file.
        allow_takeover: Whether to take the path of a server that lives.

    Returns:
        The address, as the server shall show it, and the claim of a path: what it
        takes to give it back.

    Raises:
        TypeError: If the address is of a wrong kind.
        ValueError: If no socket can have it.
        OSError: If it cannot be bound.
    """
    parsed = parse_unix_address(address)
    if isinstance(parsed, bytes):
        _bind_abstract(sock, parsed)
        return parsed, None
    claim = UnixClaim.of(parsed, allow_takeover=allow_takeover)
    if sock.type == socket.SOCK_DGRAM:
        claim.bind_in_place(sock, mode)
    else:
        claim.bind_beside(sock, mode)
    return parsed, claim


def _bind_abstract(sock: socket.socket, name: bytes) -> None:
    with explaining(name):
        try:
            sock.bind(name)
        except OSError as error:
            if error.errno != errno.EADDRINUSE:
                raise
            raise in_use(name) from error
