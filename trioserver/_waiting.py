"""Wait for a socket: as Trio does, unless the socket knows itself how.

One in memory has no descriptor that the system could watch. All else that the library
does with a socket is a method of it, and needs no seam.
"""

from __future__ import annotations

import socket
from collections.abc import Awaitable
from typing import Protocol

import trio


class Waiting(Protocol):
    """What the system knows of a socket, told by somebody else.

    A wait is a checkpoint, and may end too early; `trio.BusyResourceError` if another
    task waits for the same, `trio.ClosedResourceError` after `notify_closing`.
    """

    @property
    def is_readable(self) -> bool:
        """Whether a read, or an accept, would not have to wait."""
        ...

    @property
    def is_hung_up(self) -> bool:
        """Whether the connection is over in both directions."""
        ...

    async def wait_readable(self) -> None:
        """Wait until there is something to read, or to accept."""

    async def wait_writable(self) -> None:
        """Wait until there is room to write."""

    def notify_closing(self) -> None:
        """Wake whoever waits."""


class SelfWaiting(socket.socket):
    """A socket that is not the system's."""

    waiting: Waiting
    """How to wait for it."""


# Plain functions: a wait costs a call more, and no coroutine. To look at the class of
# a socket takes 30 ns, and each of these waits a system call or two.


def wait_readable(sock: socket.socket) -> Awaitable[None]:
    """Wait until *sock* can be read, or accepts; to be awaited at once."""
    if isinstance(sock, SelfWaiting):
        return sock.waiting.wait_readable()
    return trio.lowlevel.wait_readable(sock)  # noqa: ASYNC105  # by the caller


def wait_writable(sock: socket.socket) -> Awaitable[None]:
    """Wait until *sock* can be written; to be awaited at once."""
    if isinstance(sock, SelfWaiting):
        return sock.waiting.wait_writable()
    return trio.lowlevel.wait_writable(sock)  # noqa: ASYNC105  # by the caller


def notify_closing(sock: socket.socket) -> None:
    """Wake whoever waits for *sock*, which is about to be closed.

    Outside of Trio, nobody does.
    """
    if isinstance(sock, SelfWaiting):
        sock.waiting.notify_closing()
    elif trio.lowlevel.in_trio_run():
        trio.lowlevel.notify_closing(sock)
