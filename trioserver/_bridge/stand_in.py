"""Stand in for the object's socket, for a ``get_request()`` that is overridden.

The override runs in a thread, since it may wait for its client. What it calls on the
socket must not wait, or nobody could end it.
"""

from __future__ import annotations

import errno
import os
import socket
from typing import final


@final
class ListenerStandIn:
    """A listening socket whose next connection was accepted already."""

    def __init__(self, listener: socket.socket) -> None:
        self._listener = listener
        self._accepted: tuple[socket.socket, object] | None = None

    def hand_over(self, connection: socket.socket, address: object) -> None:
        """Let the next `accept` return these."""
        self._accepted = connection, address

    def accept(self) -> tuple[socket.socket, object]:
        """Return what was handed over.

        Raises:
            BlockingIOError: If it was fetched already.
        """
        accepted, self._accepted = self._accepted, None
        if accepted is None:
            raise BlockingIOError(errno.EAGAIN, os.strerror(errno.EAGAIN))
        return accepted

    def __getattr__(self, name: str) -> object:
        return getattr(self._listener, name)


@final
class DatagramStandIn:
    """A socket that waits where it sends, and not where it receives."""

    def __init__(self, sock: socket.socket, receiver: socket.socket) -> None:
        self._socket = sock
        self._receiver = receiver

    def __getattr__(self, name: str) -> object:
        owner = self._receiver if name.startswith("recv") else self._socket
        return getattr(owner, name)
