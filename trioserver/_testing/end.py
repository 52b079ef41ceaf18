"""What the sockets of a network in memory stand for, as far as they have it in common.

An end is to a `MemorySocket` what the kernel's socket is to a descriptor: it lives
until the last duplicate is closed.
"""

from __future__ import annotations

import errno
import math
import os
import socket
from typing import Final, NoReturn

import trio

# What setsockopt() may be asked for, and getsockopt() then tells again. All else is an
# error, as with an option that a system does not have.
_ANY: Final = None
_REMEMBERED: Final = {
    socket.SOL_SOCKET: _ANY,
    socket.IPPROTO_TCP: _ANY,
}

_ERROR: Final = (socket.SOL_SOCKET, socket.SO_ERROR)

Option = tuple[int, int]


def refuse(what: str, instead: str) -> NoReturn:
    """Refuse *what* cannot work in memory.

    Raises:
        NotImplementedError: Which says what to do *instead*. No `OSError`: a server
            would take it for the fault of a client, and go on.
    """
    message = f"{what} does not work in a MemoryNetwork: {instead}"
    raise NotImplementedError(message)


def system_error(number: int) -> OSError:
    """Return the error that the system would raise."""
    return OSError(number, os.strerror(number))


class End:
    """One end of something, and who waits for it."""

    # The default of Linux's net.ipv4.tcp_rmem, for those who ask.
    _DEFAULTS: Final = {(socket.SOL_SOCKET, socket.SO_RCVBUF): 131072}

    def __init__(self, family: int, kind: int) -> None:
        self.family = family
        self.kind = kind
        self.address: object = None
        self.is_closed = False
        """Whether the last of its sockets was closed."""
        self.sockets = 0
        """How many sockets stand for it."""
        # What an earlier call has met with, and nobody was told of.
        self._error = 0
        self._lot = trio.lowlevel.ParkingLot()
        self._options: dict[Option, int | bytes] = {}

    # What ends of a kind can do, and those of all others cannot

    def bind(self, address: object) -> None:
        """Take an address."""
        raise system_error(errno.EINVAL)

    def listen(self, backlog: int) -> None:
        """Let others connect."""
        raise system_error(errno.EOPNOTSUPP)

    def accept(self) -> tuple[End, object]:
        """Return the next connection, and who it is from."""
        raise system_error(errno.EINVAL)

    def peer_address(self) -> object:
        """Return the address of the other end."""
        raise system_error(errno.ENOTCONN)

    def shutdown(self, how: int) -> None:
        """Shut one direction down, or both."""
        raise system_error(errno.ENOTCONN)

    def send(self, data: memoryview, address: object, ancillary: object) -> int:
        """Send *data*. Return how much was sent."""
        raise system_error(errno.ENOTCONN)

    def receive(
        self, max_bytes: int, *, is_peek: bool
    ) -> tuple[bytes, list[tuple[int, int, bytes]], int, object]:
        """Return what ``recvmsg`` does."""
        raise system_error(errno.ENOTCONN)

    def close(self) -> None:
        """Close it: the last of its sockets is closed."""
        self.is_closed = True
        self.wake()

    # Options

    def set_option(self, option: Option, value: int | bytes) -> None:
        """Remember the *value* of an *option*."""
        if option[0] not in _REMEMBERED:
            raise system_error(errno.ENOPROTOOPT)
        self._options[option] = value

    def option(self, option: Option, length: int) -> int | bytes:
        """Return the value of an *option*, in *length* bytes; 0: as a number."""
        if option == _ERROR:
            error, self._error = self._error, 0
            return error
        if option == (socket.SOL_SOCKET, socket.SO_TYPE):
            # The constructor of a socket asks for it, above all ssl's.
            refuse(
                "ssl.SSLContext.wrap_socket()",
                "wrap the Connection in a trio.SSLStream, or serve on a real socket",
            )
        value = self._options.get(option, self._DEFAULTS.get(option, 0))
        return value if isinstance(value, bytes) or not length else _packed(value)

    def _told(self) -> OSError:
        """Return the error that nobody was told of, and forget it."""
        error, self._error = self._error, 0
        return system_error(error)

    # Waiting

    @property
    def is_readable(self) -> bool:
        """Whether a receive, or an accept, would not have to wait."""
        return False

    @property
    def is_writable(self) -> bool:
        """Whether a send would not have to wait."""
        return False

    @property
    def is_hung_up(self) -> bool:
        """Whether a connection is over in both directions."""
        return False

    @property
    def next_change(self) -> float:
        """When something happens by itself."""
        return math.inf

    def wake(self) -> None:
        """Let those who wait look again."""
        if self._lot:
            self._lot.unpark_all()

    async def wait_for_change(self) -> None:
        """Wait until it may be worth to look again."""
        at = self.next_change
        if at == math.inf:  # nearly always, and twice as fast without a scope
            await self._lot.park()
            return
        with trio.move_on_at(at):
            await self._lot.park()


def _packed(value: int) -> bytes:
    return value.to_bytes(4, "little", signed=True)
