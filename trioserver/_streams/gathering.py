"""Gather replies to requests that were sent ahead, so that they leave together."""

from __future__ import annotations

import socket
from typing import Final, final

from trioserver._streams.readiness import Readiness

# One segment of TCP over loopback, and more replies than most clients wait for. Beyond
# that, there is no call of the system to be saved that would be noticed.
MAX_GATHERED_BYTES: Final = 65536


@final
class GatheredOutput:
    """What was written on a socket and has not left yet.

    It leaves in front of what is written next, or when its task waits for anything:
    then those tasks run that had to wait for it, and one of them sends this.
    """

    __slots__ = ("_data", "_readiness", "_socket")

    def __init__(self, sock: socket.socket, readiness: Readiness) -> None:
        self._socket = sock
        self._readiness = readiness
        self._data = bytearray()

    def __len__(self) -> int:
        return len(self._data)

    def add(self, data: bytes) -> bool:
        """Keep *data*. Return whether it will leave by itself; if not, send it now."""
        if len(self._data) + len(data) > MAX_GATHERED_BYTES:
            return False
        if not self._data and not self._readiness.call_soon(self.send):
            return False
        self._data += data
        return True

    def send(self) -> bool:
        """Send what the socket takes now. Return whether nothing is left."""
        try:
            if self._data:
                self.send_with(b"")
        except OSError:
            # Whoever uses the socket next is told so again.
            self._data.clear()
        return not self._data

    def send_with(self, data: bytes | bytearray | memoryview) -> int | None:
        """Send this, and *data* after it, in one call.

        Returns:
            How much of *data* was sent; None if nothing of it could be.

        Raises:
            OSError: Likewise, for another reason.
        """
        try:
            sent = self._socket.send(self._data + data)
        except BlockingIOError:
            return None
        beyond = sent - len(self._data)
        del self._data[:sent]
        return beyond if beyond > 0 or (beyond == 0 and not data) else None
