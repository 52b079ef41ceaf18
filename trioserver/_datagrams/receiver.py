"""Receive datagrams, one at a time and without losing any."""

from __future__ import annotations

import errno
import socket
from collections.abc import Callable
from typing import Final, NamedTuple, final

import trio

from trioserver._datagrams.own_address import OwnAddress, is_bound
from trioserver._datagrams.paced_wait import PacedWait
from trioserver._datagrams.packet_info import (
    ANCILLARY_BYTES,
    AncillaryItem,
    ask_for_destinations,
    is_wildcard,
)
from trioserver._sockets.nonblocking import DONT_WAIT, stay_nonblocking

# As a plain number: a flag of the enum module takes 2 µs to be looked at.
_TRUNCATED: Final = int(getattr(socket, "MSG_TRUNC", 0))

# No datagram of UDP is longer.
MAX_DATAGRAM_BYTES: Final = 65535


class Datagram(NamedTuple):
    """One datagram, with what the kernel says about it."""

    data: bytes
    """What was sent; its beginning, if it `is_truncated`."""

    address: object
    """Who has sent it; None for a Unix socket without a name."""

    ancillary: list[AncillaryItem]
    """Where it was sent to, if that was asked for."""

    is_truncated: bool
    """Whether it was longer than what was asked for."""


@final
class Receiver:
    """Receives from one socket, which it does not own."""

    __slots__ = ("_is_drained", "_on_spinning", "_receive", "own_address", "socket")

    def __init__(
        self, sock: socket.socket, on_spinning: Callable[[], object] = lambda: None
    ) -> None:
        """Make *sock*, a bound datagram socket, fit for many tasks.

        Args:
            sock: What to receive from.
            on_spinning: Called if it says again and again that there is something to
                receive, when there is nothing.

        Raises:
            OSError: If it is not bound. Linux would let it wait for ever.
        """
        if not is_bound(sock):
            raise OSError(errno.EINVAL, "the socket is not bound to an address")
        sock.setblocking(False)
        ask_for_destinations(sock)
        self.socket = sock
        self.own_address = OwnAddress(sock)
        """Where replies leave from."""
        self._is_drained = False
        self._on_spinning = on_spinning
        # recvmsg() takes longer, and on other sockets it has nothing more to tell.
        # Windows has none.
        tells_destinations = is_wildcard(sock) and hasattr(sock, "recvmsg")
        self._receive = _receive_message if tells_destinations else _receive_from

    async def receive(self, max_bytes: int) -> Datagram:
        """Wait for a datagram of at most *max_bytes*; a longer one is cut.

        Raises:
            OSError: What the kernel says; with most, the next datagram comes all the
                same. EINVAL if none will ever come, since the socket was shut down.
            trio.ClosedResourceError: If the socket was closed meanwhile.

        Cancellation:
            Nothing was received: there is no checkpoint once a datagram is there.
        """
        await trio.lowlevel.checkpoint_if_cancelled()
        # Not tried in vain a second time.
        datagram = None if self._is_drained else self.receive_nowait(max_bytes)
        if datagram is not None:
            return datagram
        wait = PacedWait(self.socket, self._on_spinning)
        while datagram is None:
            await wait.readable()
            self._is_drained = False
            datagram = self.receive_nowait(max_bytes)
        return datagram

    def receive_nowait(self, max_bytes: int) -> Datagram | None:
        """Return a datagram as `receive` does, or None if there is none.

        Raises:
            OSError: What the kernel says.
        """
        try:
            stay_nonblocking(self.socket)
            return self._receive(self.socket, max_bytes)
        except BlockingIOError:
            self._is_drained = True
            return None


def _receive_message(sock: socket.socket, max_bytes: int) -> Datagram:
    data, ancillary, flags, address = sock.recvmsg(
        max_bytes, ANCILLARY_BYTES, DONT_WAIT
    )
    return Datagram(data, address, ancillary, bool(flags & _TRUNCATED))


def _receive_from(sock: socket.socket, max_bytes: int) -> Datagram:
    """Receive what has one destination only.

    One byte more than is wanted shows whether it was cut. On Windows all of it has to
    be received: what is longer than its buffer is an error there, and lost.
    """
    data, address = sock.recvfrom(MAX_DATAGRAM_BYTES + 1, DONT_WAIT)
    return Datagram(data[:max_bytes], address, [], len(data) > max_bytes)
