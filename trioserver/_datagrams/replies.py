"""Send datagrams from one socket, for many tasks."""

from __future__ import annotations

import errno
import socket
from collections.abc import Sequence
from typing import Final, cast, final

import trio

from trioserver._datagrams.packet_info import AncillaryItem
from trioserver._exceptions import connection_lost, nameless_peer
from trioserver._open_descriptors import note_open
from trioserver._sockets.close import close_socket
from trioserver._sockets.nonblocking import DONT_WAIT, stay_nonblocking
from trioserver._streams.budget import Budget
from trioserver._waiting import notify_closing, wait_writable

# Nobody is at the address, or there is no way there. Whoever forges the address of a
# request can cause it: a closed port, an unused network. So can who has a Unix socket:
# its file may be gone, or another kind of file by now (unix(7), path_resolution(7)).
NOBODY_ERRNOS: Final = frozenset(
    getattr(errno, name)
    for name in (
        "ECONNREFUSED",
        "ECONNRESET",
        "ENOENT",
        "ENOTDIR",
        "ELOOP",
        "EPROTOTYPE",
        "EHOSTUNREACH",
        "EHOSTDOWN",
        "ENETUNREACH",
        "ENETDOWN",
    )
    if hasattr(errno, name)
)

# Seconds between two tries to send where waiting for the socket is of no use, the first
# pause and the longest one. As short as a busy peer may be, as long as nobody notices.
FIRST_PAUSE: Final = 0.001
MAX_PAUSE: Final = 0.05

# What `socket.socket.sendto` takes.
Buffer = bytes | bytearray | memoryview

# An address of any family.
Address = tuple[object, ...] | str | bytes


def is_nobody(error: OSError, sock: socket.socket) -> bool:
    """Whether *error* of a send on *sock* says that nobody is there to receive it.

    EACCES is about what this machine forbids, but for a Unix socket: there it is the
    mode of the client's file, or of its directory.
    """
    if error.errno == errno.EACCES:
        return sock.family not in {socket.AF_INET, socket.AF_INET6}
    return error.errno in NOBODY_ERRNOS


def is_answerable(address: object) -> bool:
    """Whether a reply can be sent to *address*.

    Not to None, as a Unix socket without a name has it, and not to port 0, with which a
    client says that it wants none (RFC 768).
    """
    return address is not None and not (isinstance(address, tuple) and address[1] == 0)


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
        self.socket: socket.socket = note_open(sock.dup())
        self._budget = Budget()
        # Trio lets one task wait for a descriptor at a time.
        self._turn = trio.StrictFIFOLock()

    async def send(
        self, data: Buffer, flags: int, address: object, source: Sequence[AncillaryItem]
    ) -> int:
        """Send one datagram to *address*. Return its length.

        Raises:
            OSError: If it cannot be sent. A `ConnectionLostError` if that is for want
                of somebody to receive it.
            NamelessPeerError: If *address* is None, or its port is 0.
            trio.ClosedResourceError: If the server was closed, and its requests ended.

        Cancellation:
            Nothing was sent.
        """
        if not is_answerable(address):
            raise nameless_peer()
        await self._budget.spend()
        pause = 0.0
        to = cast("Address", address)
        while (sent := self.send_nowait(data, flags, to, source)) is None:
            await self._wait_for_room(pause)
            pause = min(pause * 2 or FIRST_PAUSE, MAX_PAUSE)
        return sent

    def send_nowait(
        self,
        data: Buffer,
        flags: int,
        address: Address,
        source: Sequence[AncillaryItem],
    ) -> int | None:
        """Send one datagram as `send` does, or return None if there is no room for it.

        Raises:
            OSError: As `send` does.
            trio.ClosedResourceError: As `send` does.
        """
        try:
            stay_nonblocking(self.socket)
            flags |= DONT_WAIT
            if source:
                return self.socket.sendmsg([data], source, flags, address)
            return self.socket.sendto(data, flags, address)
        except BlockingIOError:
            return None
        except OSError as error:
            if is_nobody(error, self.socket):
                raise connection_lost(error) from error
            if self.socket.fileno() == -1:
                message = "the server was closed, and with it the socket for replies"
                raise trio.ClosedResourceError(message) from error
            raise

    def forget_waiters(self) -> None:
        """Forget who waits to send: in a forked child nobody does."""
        self._turn = trio.StrictFIFOLock()

    def close(self) -> None:
        """Close the descriptor, and wake who still waits to send."""
        if self.socket.fileno() != -1:
            notify_closing(self.socket)
            close_socket(self.socket)

    async def _wait_for_room(self, pause: float) -> None:
        """Wait for the socket, and from the second time on for some time as well.

        A Unix socket that is not connected is writable at any time, although the queue
        of who shall receive may be full: to wait for nothing else would be to spin.
        """
        async with self._turn:
            if self.socket.fileno() != -1:
                await wait_writable(self.socket)
        if pause:
            await trio.sleep(pause)
