"""Receive datagrams, one at a time and without losing any."""

from __future__ import annotations

import errno
import socket
from functools import partial
from typing import Final, NamedTuple, final

import trio

from trioserver._datagrams.own_address import OwnAddress, is_bound
from trioserver._datagrams.packet_info import (
    ANCILLARY_BYTES,
    AncillaryItem,
    ask_for_destinations,
)
from trioserver._waiting import wait_readable

# As a plain number: a flag of the enum module takes 2 µs to be looked at.
_TRUNCATED: Final = int(getattr(socket, "MSG_TRUNC", 0))

# No datagram of UDP is longer.
MAX_DATAGRAM_BYTES: Final = 65535

# What has addresses of which a socket can have several.
_WITH_DESTINATIONS: Final = frozenset({socket.AF_INET, socket.AF_INET6})


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

    __slots__ = ("_receive", "own_address", "socket")

    def __init__(self, sock: socket.socket) -> None:
        """Make *sock*, a bound datagram socket, fit for many tasks.

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
        self._receive = (
            partial(_receive_message, ancillary_bytes=_ancillary_bytes(sock))
            if hasattr(sock, "recvmsg")
            else _receive_from
        )

    async def receive(self, max_bytes: int) -> Datagram:
        """Wait for a datagram of at most *max_bytes*; a longer one is cut.

        Raises:
            OSError: What the kernel says; with most, the next datagram comes all the
                same.
            trio.ClosedResourceError: If the socket was closed meanwhile.

        Cancellation:
            Nothing was received: there is no checkpoint once a datagram is there.
        """
        await trio.lowlevel.checkpoint_if_cancelled()
        while True:
            try:
                return self._receive(self.socket, max_bytes)
            except BlockingIOError:
                await wait_readable(self.socket)


def _ancillary_bytes(sock: socket.socket) -> int:
    """Return the bytes of ancillary data that a datagram of *sock* may come with.

    None on a Unix socket: they could be descriptors, which nobody would close. Where
    there is no room for them, the kernel closes them itself.
    """
    return ANCILLARY_BYTES if sock.family in _WITH_DESTINATIONS else 0


def _receive_message(
    sock: socket.socket, max_bytes: int, *, ancillary_bytes: int
) -> Datagram:
    data, ancillary, flags, address = sock.recvmsg(max_bytes, ancillary_bytes)
    return Datagram(data, address, ancillary, bool(flags & _TRUNCATED))


def _receive_from(sock: socket.socket, max_bytes: int) -> Datagram:
    """Receive where there is no recvmsg(), as on Windows.

    All of it: there, what is longer than its buffer is an error, and lost.
    """
    data, address = sock.recvfrom(MAX_DATAGRAM_BYTES + 1)
    return Datagram(data[:max_bytes], address, [], len(data) > max_bytes)
