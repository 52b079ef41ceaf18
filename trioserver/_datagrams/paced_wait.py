"""Wait for a datagram, and do not spin if the socket only says that there is one.

One can be readable for ever, with nothing to receive: after a shutdown(2), and when
nobody reads its error queue (IP_RECVERR, ip(7)).
"""

from __future__ import annotations

import errno
import select
import socket
from collections.abc import Callable
from typing import Final, final

import trio

from trioserver._sockets.accept import has_queued
from trioserver._sockets.polled import has_events
from trioserver._waiting import wait_readable

# Wake-ups in a row without a datagram, before there is a pause after each. Each takes
# some 50 µs, so that all of them are over in milliseconds. A datagram with a wrong
# checksum causes one, and so does one that somebody else who has the socket receives.
MAX_VAIN_WAKE_UPS: Final = 100

# Seconds: as long as after a failure to accept.
VAIN_PAUSE: Final = 0.1

# Not there on all systems, and some have no poll().
_SHUT: Final[int] = getattr(select, "POLLRDHUP", 0)


def is_shut(sock: socket.socket) -> bool:
    """Whether *sock*, which is open, was shut down and will never receive again.

    A Unix socket: datagrams of the Internet are received all the same on Linux.
    """
    if sock.family in {socket.AF_INET, socket.AF_INET6}:
        return False
    return has_events(sock, _SHUT)


@final
class PacedWait:
    """Waits for one datagram: again and again, if there was none after all."""

    __slots__ = ("_in_vain", "_is_announced", "_on_spinning", "_socket")

    def __init__(self, sock: socket.socket, on_spinning: Callable[[], object]) -> None:
        """Wait for *sock*.

        Args:
            sock: What shall be received from.
            on_spinning: Called once, if it is readable again and again in vain.
        """
        self._socket = sock
        self._on_spinning = on_spinning
        self._in_vain = 0
        self._is_announced = False

    async def readable(self) -> None:
        """Wait until there seems to be something to receive.

        Raises:
            OSError: If there will never be.
            trio.ClosedResourceError: If the socket was closed meanwhile.
        """
        if self._in_vain < MAX_VAIN_WAKE_UPS:
            self._in_vain += 1
        elif has_queued(self._socket):
            await self._pause()
            return
        else:
            # Others who have the socket were faster, each time.
            self._in_vain = 0
        await wait_readable(self._socket)

    async def _pause(self) -> None:
        if is_shut(self._socket):
            # As accept(2) says it of a listening socket.
            raise OSError(errno.EINVAL, "the socket was shut down")
        if not self._is_announced:
            self._is_announced = True
            self._on_spinning()
        await trio.sleep(VAIN_PAUSE)
