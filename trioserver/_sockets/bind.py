"""Make a listening socket: create, bind, listen."""

from __future__ import annotations

import errno
import socket
import sys
from typing import Final

from trioserver._sockets.addresses import format_address, with_scope
from trioserver._sockets.server_socket import ServerSocket

# As many as the kernel allows: it cuts the number down to its own maximum. Not more,
# because some systems keep 16 bits of it.
MAX_BACKLOG: Final = 0xFFFF

# SO_REUSEADDR lets a restarted server bind while connections of its predecessor are
# in TIME_WAIT. On Windows it would let others take the address over instead.
REUSE_ADDRESS_IS_SAFE: Final = sys.platform != "win32"

# Windows has it, where without it others can take an address over.
_EXCLUSIVE: Final[int | None] = getattr(socket, "SO_EXCLUSIVEADDRUSE", None)

_REMEDIES: Final = {
    errno.EADDRINUSE: (
        "another program listens there already; stop it, or choose another port "
        "(0 lets the system choose)"
    ),
    errno.EACCES: (
        "ports below 1024 need a privilege; choose a higher port, or give the "
        "program CAP_NET_BIND_SERVICE"
    ),
    errno.EADDRNOTAVAIL: (
        "this machine has no such address; 0.0.0.0 means every IPv4 address of it, "
        ":: every IPv6 address"
    ),
}


def make_socket(family: int, kind: int) -> socket.socket:
    """Return a new non-blocking socket."""
    # Whoever has put a class of sockets in the place of Python's gets one of those.
    is_stock = socket.socket in ServerSocket.__bases__
    accepts = is_stock and kind == socket.SOCK_STREAM
    sock = ServerSocket(family, kind) if accepts else socket.socket(family, kind)
    sock.setblocking(False)
    return sock


def set_reuse(sock: socket.socket, *, address: bool, port: bool) -> None:
    """Set the options that allow an address to be bound again.

    Args:
        sock: A socket that is not bound yet.
        address: ``SO_REUSEADDR``: bind although old connections linger.
        port: ``SO_REUSEPORT``: several sockets share one port.

    Raises:
        ValueError: If the system has no ``SO_REUSEPORT`` for this kind of socket.
    """
    if address:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    if _EXCLUSIVE is not None:
        sock.setsockopt(socket.SOL_SOCKET, _EXCLUSIVE, 1)
    if port:
        # CPython gh-128916: Linux refuses it on AF_UNIX, where it means nothing.
        if not hasattr(socket, "SO_REUSEPORT") or sock.family not in {
            socket.AF_INET,
            socket.AF_INET6,
        }:
            message = "allow_reuse_port: this system cannot share such an address"
            raise ValueError(message)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)


def bind(sock: socket.socket, address: object) -> None:
    """Bind *sock*, or raise the system's error with the address and a remedy in it.

    Raises:
        OSError: With the ``errno`` and of the class that the system chose.
        ValueError: If the host has characters that no host can have.
    """
    try:
        sock.bind(with_scope(address))  # type: ignore[arg-type]  # any family's address
    except (TypeError, ValueError) as error:
        # A NUL character, or one that no name can have: CPython says neither which
        # host, nor what would be right.
        message = (
            f"the host of {format_address(address)!a} cannot be one ({error}): "
            "give a host name or an IP address"
        )
        raise ValueError(message) from error
    except socket.gaierror as error:
        message = f"cannot find the host of {format_address(address)}: {error.strerror}"
        raise socket.gaierror(error.errno, message) from error
    except OSError as error:
        raise _explained(error, f"cannot bind {format_address(address)}") from error


def listen(sock: socket.socket, backlog: int) -> None:
    """Listen on *sock*, or raise as `bind` does.

    Raises:
        OSError: Two sockets with ``SO_REUSEADDR`` can be bound to one address; the
            second one to listen is told only here.
    """
    try:
        sock.listen(backlog)
    except OSError as error:
        where = format_address(sock.getsockname())
        raise _explained(error, f"cannot listen on {where}") from error


def _explained(error: OSError, what: str) -> OSError:
    """Return an error like *error* that says *what* failed and what to do."""
    if error.errno is None:
        # CPython checks some things by itself, the length of a path for one.
        return OSError(f"{what}: {error}")
    remedy = _REMEDIES.get(error.errno)
    message = f"{what}: {error.strerror}"
    return OSError(error.errno, f"{message}: {remedy}" if remedy else message)
