"""Send datagrams from one socket, for many tasks."""

from __future__ import annotations

import errno
import socket
from typing import Final, cast, final

import trio

from trioserver._datagrams.packet_info import AncillaryItem
from trioserver._exceptions import connection_lost, nameless_peer
from trioserver._streams.budget import Budget

# Nobody is at the address any more: a port that was closed, a Unix socket that nobody
# listens on, or whose file is gone.
NOBODY_ERRNOS: Final = frozenset({errno.ECONNREFUSED, errno.ECONNRESET, errno.ENOENT})

# What `socket.socket.sendto` takes.
Buffer = bytes | bytearray | memoryview


@final
class Replies:
    """The way out: a descriptor of its own for the socket that receives.

    So the receiving one can be closed while the requests that still run send their
    replies. The port is taken until both are closed.
    """

    __slots__ = ("_budget", "_turn", "socket")

    def __init__(self, sock: socket.socket) -> None:
        """Send from a duplicate of *sock*.

        Raises:
            OSError: If there is no descriptor left.
        """
        self.socket = sock.dup()
        self._budget = Budget()
        # Trio lets one task wait for a descriptor at a time.
        self._turn = trio.StrictFIFOLock()

    async def send(
        self, data: Buffer, flags: int, address: object, source: list[AncillaryItem]
    ) -> int:
        """Send one datagram to *address*. Return its length.

        Raises:
            OSError: If it cannot be sent. A `ConnectionLostError` if that is for want
                of somebody to receive it.
            NamelessPeerError: If *address* is None.
            trio.ClosedResourceError: If the server was closed, and its requests ended.

        Cancellation:
            Nothing was sent.
        """
        if address is None:
            raise nameless_peer()
        await self._budget.spend()
        while True:
            try:
                return self._send_nowait(data, flags, address, source)
            except BlockingIOError:
                await self._wait_writable()
            except OSError as error:
                if error.errno in NOBODY_ERRNOS:
                    raise connection_lost(error) from error
                raise

    def close(self) -> None:
        """Close the descriptor, and wake who still waits to send."""
        if self.socket.fileno() != -1:
            if trio.lowlevel.in_trio_run():
                trio.lowlevel.notify_closing(self.socket)
            self.socket.close()

    def _send_nowait(
        self, data: Buffer, flags: int, address: object, source: list[AncillaryItem]
    ) -> int:
        if self.socket.fileno() == -1:
            message = "the server was closed, and with it the socket for replies"
            raise trio.ClosedResourceError(message)
        to = cast("tuple[object, ...] | str | bytes", address)  # any family's
        if source:
            return self.socket.sendmsg([data], source, flags, to)
        return self.socket.sendto(data, flags, to)

    async def _wait_writable(self) -> None:
        async with self._turn:
            if self.socket.fileno() != -1:
                await trio.lowlevel.wait_writable(self.socket)
