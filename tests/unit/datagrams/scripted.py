"""A datagram socket that does what a script says, and no I/O."""

from __future__ import annotations

import errno
import socket
from collections import deque
from collections.abc import Iterable
from typing import cast

import attrs

from trioserver._sockets.nonblocking import DONT_WAIT

# What one call does: it returns this, or raises it.
Outcome = tuple[object, ...] | bytes | int | BaseException

# What ``recvmsg()`` returns.
_Message = tuple[bytes, list[object], int, object]

PEER = ("192.0.2.1", 40000)


def _script(outcomes: Iterable[Outcome]) -> deque[Outcome]:
    return deque(outcomes)


@attrs.define(eq=False)
class ScriptedSocket:
    """Plays one outcome for each call that receives or sends."""

    outcomes: deque[Outcome] = attrs.field(default=(), converter=_script)
    family: int = socket.AF_INET
    address: object = ("192.0.2.9", 9)
    sent: list[tuple[object, ...]] = attrs.field(factory=list)
    """What it was told to send, without the flag that all calls have."""
    is_closed: bool = False
    options: list[tuple[object, ...]] = attrs.field(factory=list)
    """What was set, in vain."""

    def recvmsg(self, *_: int) -> object:
        return self._play()

    def recvfrom(self, max_bytes: int, _flags: int) -> object:
        """Play what `recvmsg` would return: there is room for a byte more."""
        data, _, flags, address = cast("_Message", self._play())
        is_cut = flags & socket.MSG_TRUNC
        assert len(data) < max_bytes
        return data + b"+" if is_cut else data, address

    def sendto(self, data: object, flags: int, address: object) -> object:
        return self._send(data, flags=flags, address=address)

    def sendmsg(
        self, buffers: object, ancillary: object, flags: int, address: object
    ) -> object:
        return self._send(buffers, ancillary, flags=flags, address=address)

    def getsockname(self) -> object:
        return self.address

    def setsockopt(self, *arguments: object) -> None:
        self.options.append(arguments)
        raise OSError

    def getsockopt(self, *_: int) -> object:
        if not self.outcomes:
            raise OSError
        return self._play()

    def setblocking(self, flag: bool) -> None:
        assert not flag

    def gettimeout(self) -> float:
        return 0.0

    def dup(self) -> ScriptedSocket:
        return self

    def fileno(self) -> int:
        return -1 if self.is_closed else 99

    def close(self) -> None:
        self.is_closed = True

    def _send(self, *what: object, flags: int, address: object) -> object:
        assert flags & DONT_WAIT == DONT_WAIT
        if self.is_closed:
            raise OSError(errno.EBADF, "closed")
        result = self._play()
        self.sent.append((*what, flags & ~DONT_WAIT, address))
        return result

    def _play(self) -> object:
        outcome = self.outcomes.popleft()
        if isinstance(outcome, BaseException):
            raise outcome
        return outcome


def datagram(
    data: bytes = b"hello", *, flags: int = 0, address: object = PEER
) -> tuple[object, ...]:
    """Return what ``recvmsg()`` does when a datagram has come."""
    return data, [], flags, address


def as_socket(scripted: ScriptedSocket) -> socket.socket:
    """Return *scripted* as the type checker wants it."""
    return cast("socket.socket", scripted)
