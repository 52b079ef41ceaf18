"""Socket addresses: check them, and infer what family they need."""

from __future__ import annotations

import ipaddress
import socket
from typing import Final, cast

from trioserver._log import escape
from trioserver._sockets.unix_path import parse_unix_address

_MAX_PORT: Final = 65535

# Not everywhere.
_AF_UNIX: Final[int | None] = getattr(socket, "AF_UNIX", None)

_INET_FAMILIES: Final = frozenset({socket.AF_INET, socket.AF_INET6})


def infer_family(family: int, address: object) -> int:
    """Return `socket.AF_INET6` if *address* has an IPv6 literal, else *family*.

    Like socketserver, where ``("::1", 0)`` needs ``address_family`` to be set, but
    inferred: an IPv6 literal cannot mean anything else.
    """
    if family == socket.AF_INET and any(map(_is_ipv6_literal, _parts(address)[:1])):
        return socket.AF_INET6
    return family


def _parts(address: object) -> tuple[object, ...]:
    """Return the parts of an internet *address*; none, if it is something else."""
    if isinstance(address, tuple):
        return cast("tuple[object, ...]", address)
    return ()


def _is_ipv6_literal(host: object) -> bool:
    if not isinstance(host, str) or ":" not in host:
        return False
    try:
        ipaddress.IPv6Address(host)
    except ValueError:
        return False
    return True


def check_address(family: int, address: object) -> None:
    """Refuse an *address* that no socket of *family* could be bound to.

    Raises:
        TypeError: If it is no ``(host, port)``; for a Unix socket, no path.
        OverflowError: If the port is out of range, as `socket.socket.bind` raises.
        ValueError: If no Unix socket can have this path.
        OSError: If the path is too long.
    """
    if family == _AF_UNIX:
        parse_unix_address(address)
    if family not in _INET_FAMILIES:
        return
    match _parts(address):
        case (host, port, *_):
            _check_host(host)
            _check_port(port)
        case _:
            message = (
                f"the server address must be a tuple (host, port), not {address!r}"
            )
            raise TypeError(message)


def _check_host(host: object) -> None:
    if not isinstance(host, str | bytes | bytearray):
        message = f"the host of a server address must be a string, not {host!r}"
        raise TypeError(message)


def _check_port(port: object) -> None:
    if isinstance(port, bool) or not isinstance(port, int):
        message = (
            f"the port of a server address must be a number, not {port!r}: "
            "0 to let the system choose one"
        )
        raise TypeError(message)
    if not 0 <= port <= _MAX_PORT:
        message = f"the port of a server address must be 0 to 65535, not {port}"
        raise OverflowError(message)


def with_scope(address: object) -> object:
    """Return *address* with the number of the zone that its host names, if any.

    ``("fe80::1%eth0", 80)`` says all that is needed, but `socket.socket.bind` takes the
    zone from the fourth part only.
    """
    match address:
        case (str(host), int(port)) if "%" in host and _is_ipv6_literal(host):
            numeric = socket.getaddrinfo(
                host, port, socket.AF_INET6, flags=socket.AI_NUMERICHOST
            )
            return numeric[0][4]
        case _:
            return address


def format_address(address: object) -> str:
    """Return *address* as people write it: ``127.0.0.1:80``, ``[::1]:80``.

    Others, those of Unix sockets above all, are quoted: they may hold anything.
    """
    match _parts(address):
        case (host, port, *_):
            return f"[{host}]:{port}" if ":" in str(host) else f"{host}:{port}"
        case _:
            return escape(address)
