"""Gather replies to requests that were sent ahead, so that they leave together."""

from __future__ import annotations

import errno
import socket
from typing import Final, final

import trio

from trioserver._streams.readiness import Readiness

# One segment of TCP over loopback, and more replies than most clients wait for. Beyond
# that, there is no call of the system to be saved that would be noticed.
MAX_GATHERED_BYTES: Final = 65536


@final
class GatheredOutput:
    """What was written on a socket and has not left yet.

    It leaves in front of what is written next, or when its task waits for anything:
    then those tasks run that had to wait for it, and one of them sends this.

    Nobody waits for that one, who could be told of an error. It is kept, and raised to
    whoever uses this next, since the system may tell of it only once.
    """

    __slots__ = ("_data", "_failure", "_readiness", "_socket")

    def __init__(self, sock: socket.socket, readiness: Readiness) -> None:
        self._socket = sock
        self._readiness = readiness
        self._data = bytearray()
        # What to raise again. Not the error itself: it would get longer each time.
        self._failure: tuple[int | None, str | None] | None = None

    def __bool__(self) -> bool:
        """Whether there is something to send first, or an error to raise instead."""
        return bool(self._data) or self._failure is not None

    def add(self, data: bytes) -> bool:
        """Keep *data*. Return whether it will leave by itself; if not, send it now.

        Raises:
            OSError: If what was kept before has failed to leave.
        """
        if self._failure is not None:
            self._raise_failure()
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
        except OSError as error:
            self._failure = error.errno, error.strerror
            self.forget()
        return not self._data

    def forget(self) -> None:
        """Do not send what is left."""
        self._data.clear()

    def check_end(self) -> None:
        """Check that what looks like the peer's end-of-file is one.

        Linux tells of a reset once, and after that says that the stream has ended. It
        tells of EPIPE instead if the end-of-file had come before.

        Raises:
            OSError: If the peer was lost.
        """
        if self._failure is not None and self._failure[0] != errno.EPIPE:
            self._raise_failure()

    # Ctrl-C may not strike between the sending and the removing: it would leave twice.
    @trio.lowlevel.enable_ki_protection
    def send_with(self, data: bytes | bytearray | memoryview) -> int | None:
        """Send this, and the first part of *data* after it, in one call.

        Returns:
            How much of *data* was sent; None if nothing of it could be.

        Raises:
            OSError: Likewise, for another reason.
        """
        self._raise_failure()
        try:
            # Of what is large, only a part is worth the copy.
            sent = self._socket.send(self._data + data[:MAX_GATHERED_BYTES])
        except BlockingIOError:
            return None
        beyond = sent - len(self._data)
        del self._data[:sent]
        return beyond if beyond > 0 or (beyond == 0 and not data) else None

    def _raise_failure(self) -> None:
        if self._failure is not None:
            raise OSError(*self._failure)
