"""Wait until a socket can be read or written: the seam for a faster way."""

from __future__ import annotations

import socket
from collections.abc import Awaitable, Callable
from typing import Protocol

import trio


class Readiness(Protocol):
    """Tells when one socket is ready.

    A wait may end too early: the caller tries its call again. At most one task
    waits for each direction; `trio.BusyResourceError` otherwise.
    """

    @property
    def is_readable(self) -> bool:
        """Whether a read is worth a try; if not, wait first."""
        ...

    def note_drained(self) -> None:
        """Note that a read has got less than it asked for."""

    def wait_readable(self) -> Awaitable[object]:
        """Wait until there is something to read, the end of the stream included.

        The call begins the wait, so that Ctrl-C may not strike before the result is
        awaited. No coroutine: each one that an idle connection waits in costs.
        """
        ...

    async def wait_writable(self) -> None:
        """Wait until there is room to write."""

    def call_soon(self, send: Callable[[], bool]) -> bool:
        """Call *send* when the running task waits, and while it returns False, again.

        Each time there has to be room to write first.

        Returns:
            Whether that is possible.
        """
        ...

    def close(self) -> None:
        """Wake whoever waits, with `trio.ClosedResourceError`.

        Called before the descriptor is closed, so that its number is not in use
        for anything else yet.
        """


class TrioReadiness:
    """Readiness as Trio's own sockets know it: portable, one system call a wait."""

    __slots__ = ("_socket",)

    # A failed read costs less than half of a wait.
    is_readable = True

    def __init__(self, sock: socket.socket) -> None:
        self._socket = sock

    def note_drained(self) -> None:
        """Do nothing: another read is worth a try all the same."""

    def wait_readable(self) -> Awaitable[object]:
        """Wait until there is something to read, the end of the stream included."""
        return trio.lowlevel.wait_readable(self._socket)  # noqa: ASYNC105  # see above

    async def wait_writable(self) -> None:
        """Wait until there is room to write."""
        await trio.lowlevel.wait_writable(self._socket)

    def call_soon(
        self,
        send: Callable[[], bool],  # noqa: ARG002  # as an EdgeReadiness takes it
    ) -> bool:
        """Return False: nobody is there to call it."""
        return False

    def close(self) -> None:
        """Wake whoever waits, with `trio.ClosedResourceError`."""
        trio.lowlevel.notify_closing(self._socket)
