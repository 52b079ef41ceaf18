"""Who has which address in a network in memory."""

from __future__ import annotations

import errno
import itertools
import socket
from typing import Final, cast, final

from trioserver._testing.end import End, system_error

# What is given to those who do not choose. Below what Linux gives to real sockets, so
# that a server that has come from there with its port finds it free.
_FIRST_PORT: Final = 10000
_LAST_PORT: Final = 32767

_INTERNET: Final = frozenset({socket.AF_INET, socket.AF_INET6})
_LOOPBACK: Final[dict[int, str]] = {socket.AF_INET: "127.0.0.1", socket.AF_INET6: "::1"}

# Every host, and where that can be reached.
_WILDCARDS: Final[dict[object, str]] = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104  # compared

# A kind of socket, and what names an end of it.
_Key = tuple[int, object]


@final
class AddressBook:
    """The ends that can be reached, by their addresses."""

    __slots__ = ("_ends", "_numbers")

    def __init__(self) -> None:
        self._ends: dict[_Key, End] = {}
        self._numbers = itertools.count()

    def claim(self, end: End, address: object) -> object:
        """Take *address* for *end*. Return it, complete.

        Port 0, and the empty name of a Unix socket, let the network choose.

        Raises:
            OSError: If it is taken.
        """
        if end.address is not None:
            raise system_error(errno.EINVAL)
        complete = self._complete(end, address)
        key = end.kind, host_and_port(complete)
        if key in self._ends:
            raise system_error(errno.EADDRINUSE)
        self._ends[key] = end
        return complete

    def release(self, end: End) -> None:
        """Forget *end*."""
        self._ends.pop((end.kind, host_and_port(end.address)), None)

    def find(self, kind: int, address: object) -> End | None:
        """Return who can be reached at *address*."""
        end = self._ends.get((kind, host_and_port(address)))
        if end is None and isinstance(address, tuple):
            _, port, *_ = cast("tuple[object, ...]", address)
            wildcards = (self._ends.get((kind, (host, port))) for host in _WILDCARDS)
            end = next(filter(None, wildcards), None)
        return end

    def next_address(self, family: int) -> object:
        """Return an address for somebody who does not choose one."""
        number = next(self._numbers)
        if family not in _INTERNET:
            return b"\0%05x" % number  # as Linux does it: unix(7), autobind
        port = _FIRST_PORT + number % (_LAST_PORT - _FIRST_PORT + 1)
        return complete_address(family, (_LOOPBACK[family], port))

    def _complete(self, end: End, address: object) -> object:
        if end.family not in _INTERNET:
            return address or self.next_address(end.family)
        complete = complete_address(end.family, address)
        host, port, *rest = complete
        while not port:
            chosen = cast("tuple[str, int]", self.next_address(end.family))[1]
            if self.find(end.kind, (host, chosen)) is None:
                port = chosen
        return (host, port, *rest)


def complete_address(family: int, address: object) -> tuple[object, ...]:
    """Return an internet *address* as ``getsockname`` tells it."""
    host, port, *rest = cast("tuple[object, ...]", address)
    if host == "":
        host = "0.0.0.0" if family == socket.AF_INET else "::"  # noqa: S104  # compared
    if host == "localhost":
        host = _LOOPBACK[family]
    return (host, port, *((*rest, 0, 0)[:2] if family == socket.AF_INET6 else ()))


def reachable(address: object) -> object:
    """Return the address at which clients find a server that is bound to *address*."""
    if not isinstance(address, tuple):
        return address
    host, *rest = cast("tuple[object, ...]", address)
    return (_WILDCARDS.get(host, host), *rest)


def host_and_port(address: object) -> object:
    """Return what names an end: of IPv6, the third part and the fourth do not."""
    if not isinstance(address, tuple):
        return address
    return cast("tuple[object, ...]", address)[:2]
