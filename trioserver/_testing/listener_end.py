"""A listening socket in memory: its queue, and who waits to get into it."""

from __future__ import annotations

import errno
import socket
from collections import deque
from typing import Final, final

import trio

from trioserver._testing.address_book import AddressBook
from trioserver._testing.end import End, Option, system_error
from trioserver._testing.stream_end import StreamEnd
from trioserver._testing.wires import Wires

# Linux's net.core.somaxconn: no queue is longer.
_MAX_BACKLOG: Final = 4096

_ACCEPTS: Final = (socket.SOL_SOCKET, socket.SO_ACCEPTCONN)


@final
class ListenerEnd(End):
    """What clients connect to."""

    def __init__(self, family: int, book: AddressBook, wires: Wires) -> None:
        """Make one that does not listen yet.

        Args:
            family: The family of its sockets.
            book: Where its address will be.
            wires: What its clients are connected with.
        """
        super().__init__(family, socket.SOCK_STREAM)
        self.book = book
        self.wires = wires
        self._backlog: int | None = None
        self._queue: deque[StreamEnd] = deque()
        self._newcomers = trio.lowlevel.ParkingLot()

    # What a socket does

    def bind(self, address: object) -> None:
        """Take an address."""
        self.address = self.book.claim(self, address)

    def listen(self, backlog: int) -> None:
        """Let clients connect, of whom *backlog* may wait, and one more."""
        self._backlog = min(max(backlog, 0), _MAX_BACKLOG)
        self._newcomers.unpark_all()

    def accept(self) -> tuple[End, object]:
        """Return the first connection of the queue, and who it is from."""
        if self._backlog is None:
            raise system_error(errno.EINVAL)
        if not self._queue:
            raise BlockingIOError(errno.EAGAIN, "nobody waits")
        end = self._queue.popleft()
        self._newcomers.unpark()
        return end, end.peer.address

    def close(self) -> None:
        """Reset who is in the queue, and refuse who is not."""
        self._backlog = None
        for end in self._queue:
            end.abort()
        self._queue.clear()
        self._newcomers.unpark_all()
        self.book.release(self)
        super().close()

    def option(self, option: Option, length: int) -> int | bytes:
        """Return the value of an *option*."""
        if option == _ACCEPTS:
            return int(self._backlog is not None)
        return super().option(option, length)

    # For clients

    async def admit(self, end: StreamEnd) -> None:
        """Put the server's *end* of a connection into the queue, once there is room.

        As Linux does, where one more than the backlog fits in (`sk_acceptq_is_full`).

        Raises:
            ConnectionRefusedError: If nobody listens, or nobody does any more.

        Cancellation:
            It is not in the queue.
        """
        await trio.lowlevel.checkpoint()
        while self._backlog is not None and len(self._queue) > self._backlog:
            await self._newcomers.park()
        if self._backlog is None:
            raise system_error(errno.ECONNREFUSED)
        self._queue.append(end)
        self.wake()

    # Waiting

    @property
    def is_readable(self) -> bool:
        """Whether somebody waits to be accepted; or it fails at once."""
        return bool(self._queue) or self._backlog is None
