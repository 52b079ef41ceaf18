"""Every error the library raises.

Each one is also the error that a user of the standard library or of Trio would
catch at that place, so that existing ``except`` clauses go on working.
"""

from __future__ import annotations

import errno
from typing import Final

import trio


class ServerError(Exception):
    """Base of all errors that trioserver itself raises."""


class ServerClosedError(ServerError, trio.ClosedResourceError):
    """The server was closed before, and cannot serve again.

    Like the ``ValueError: Invalid file descriptor: -1`` of socketserver, but named.
    """


class AlreadyServingError(ServerError, RuntimeError):
    """The server is serving already; one accept loop at a time."""


class ListenerBrokenError(ServerError, OSError):
    """The listening socket cannot accept requests any more.

    Like socketserver, where the loop goes on for ever, but the server ends.
    """


class ConnectionLostError(ServerError, trio.BrokenResourceError, ConnectionError):
    """The peer vanished: it reset the connection, or the network lost it.

    A `trio.BrokenResourceError` for those who know Trio; for those who know sockets a
    `ConnectionError` with its ``errno``, and a `BrokenPipeError`, a
    `ConnectionResetError`, a `ConnectionRefusedError` or a `ConnectionAbortedError`
    where the system says so.
    """


class LostToBrokenPipeError(ConnectionLostError, BrokenPipeError):
    """The peer does not read any more."""


class LostToResetError(ConnectionLostError, ConnectionResetError):
    """The peer reset the connection."""


class LostToRefusalError(ConnectionLostError, ConnectionRefusedError):
    """Nobody is at the peer's address any more."""


class LostToAbortError(ConnectionLostError, ConnectionAbortedError):
    """This side's network gave the connection up."""


_KINDS: Final = (
    LostToBrokenPipeError,
    LostToResetError,
    LostToRefusalError,
    LostToAbortError,
)


def connection_lost(error: OSError) -> ConnectionLostError:
    """Return the `ConnectionLostError` that stands for *error* of a socket call."""
    for kind in _KINDS:
        if isinstance(error, kind.__bases__[1]):
            return kind(error.errno, error.strerror)
    return ConnectionLostError(error.errno, error.strerror)


class NamelessPeerError(ServerError, OSError):
    """There is no address to send a reply to.

    A client that uses a Unix datagram socket has none, unless it binds it, and one that
    uses UDP from port 0 wants no reply. Like the ``TypeError`` of socketserver, but it
    says so.
    """


def nameless_peer() -> NamelessPeerError:
    """Return the error of somebody who wants to answer a client without an address."""
    return NamelessPeerError(
        errno.EDESTADDRREQ,
        "this client cannot be answered, it has no address, or port 0: a client on a "
        "Unix datagram socket must bind() it to get a reply",
    )


class RequestTimeoutError(ServerError, trio.TooSlowError, TimeoutError):
    """One read or write took longer than the handler's ``timeout``."""


class IncompleteReadError(ServerError, EOFError):
    """The stream ended before everything that was asked for had come.

    Like `asyncio.IncompleteReadError`.
    """

    def __init__(self, partial: bytes, wanted: str) -> None:
        super().__init__(partial, wanted)
        self.partial = partial
        """What had come, and is no longer in the reader."""
        self.wanted = wanted
        """What was asked for, in words."""

    def __str__(self) -> str:
        return f"the stream ended after {len(self.partial)} bytes, before {self.wanted}"


class DescriptorsLostError(ServerError, trio.BrokenResourceError):
    """Descriptors have come that could not be received; they are closed.

    The peer has sent more than were asked for, or this process has too many open files.
    """

    def __init__(self, data: bytes, max_fds: int) -> None:
        super().__init__(data, max_fds)
        self.data = data
        """What came with them."""
        self.max_fds = max_fds
        """How many were asked for."""

    def __str__(self) -> str:
        return (
            f"more descriptors have come than could be received, and were closed: at "
            f"most {self.max_fds} were asked for, and a process has a limit of its own"
        )


class LimitOverrunError(ServerError, ValueError):
    """A line, record or whole stream is longer than its limit.

    Like `asyncio.LimitOverrunError`. What was read stays in the reader.
    """

    def __init__(self, what: str, limit_bytes: int, read_bytes: int) -> None:
        super().__init__(what, limit_bytes, read_bytes)
        self.what = what
        """What was too long, and the remedy, in words."""
        self.limit_bytes = limit_bytes
        """The limit, inclusive, in bytes."""
        self.read_bytes = read_bytes
        """The bytes read so far, all of them still in the reader."""

    def __str__(self) -> str:
        return (
            f"{self.what} (limit {self.limit_bytes} bytes; "
            f"{self.read_bytes} bytes were read and are kept)"
        )
