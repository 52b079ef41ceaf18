"""`StreamRequestHandler`: a connection, with files to read and to write."""

from __future__ import annotations

import socket
from typing import Final

import trio

from trioserver._exceptions import RequestTimeoutError
from trioserver._handlers.base import BaseRequestHandler
from trioserver._settings import check_setting
from trioserver._streams.budget import Budget
from trioserver._streams.reader import (
    MAX_LINE_BYTES,
    MAX_READ_BYTES,
    BufferedReader,
)
from trioserver._streams.writer import BufferedWriter

# A Unix socket has no such algorithm to disable, and refuses the option.
_TCP_FAMILIES: Final = frozenset({socket.AF_INET, socket.AF_INET6})


class StreamRequestHandler(BaseRequestHandler):
    """A request that is a stream, with ``rfile`` to read and ``wfile`` to write.

    Like socketserver's, but both are asynchronous, and reading has limits.
    """

    rbufsize: int = -1
    """Bytes to receive at once; -1 is 64 KiB, 0 reads nothing ahead."""

    wbufsize: int = 0
    """Bytes to gather before they are sent; 0 sends each write at once, -1 is 8 KiB.

    With 0, a reply to one of many requests that were sent ahead leaves with the next
    one, but not later than when the handler waits for anything.
    """

    timeout: float | None = None
    """Seconds that ``rfile`` waits for data, and that ``wfile`` takes to send.

    For each operation, not for the request. None: for ever. The error is
    `RequestTimeoutError`.
    """

    disable_nagle_algorithm: bool = False
    """Whether to set ``TCP_NODELAY`` on the socket."""

    max_line_bytes: float = MAX_LINE_BYTES
    """The longest line that ``rfile`` reads, its end included. `math.inf`: no limit."""

    max_read_bytes: float = MAX_READ_BYTES
    """The most that ``rfile.read()`` to the end reads. `math.inf`: no limit."""

    connection: trio.abc.Stream
    """The same as `request`."""

    rfile: BufferedReader
    """What the client sends."""

    wfile: BufferedWriter
    """What the client is sent."""

    async def setup(self) -> None:
        """Make `rfile` and `wfile`."""
        check_setting("timeout", self.timeout)
        self.connection = self.request
        if self.disable_nagle_algorithm and self.request.socket.family in _TCP_FAMILIES:
            sock: socket.socket = self.request.socket
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        budget = Budget()
        self.rfile = BufferedReader(
            self.connection,
            self.rbufsize,
            timeout=self.timeout,
            max_line_bytes=self.max_line_bytes,
            max_read_bytes=self.max_read_bytes,
            budget=budget,
        )
        self.wfile = BufferedWriter(
            self.connection,
            self.wbufsize,
            timeout=self.timeout,
            cleanup_timeout=self._cleanup_timeout,
            budget=budget,
            reader=self.rfile,
        )

    async def _finish(self) -> None:
        if self._has_nothing_to_finish():
            # Most requests end here, and need no precautions against a cancellation.
            self.wfile.close()
            self.rfile.close()
        else:
            await super()._finish()

    def _has_nothing_to_finish(self) -> bool:
        """Whether `finish` is this class's, and would find nothing to wait for."""
        finish = getattr(self.finish, "__func__", None)
        wfile: object = getattr(self, "wfile", None)
        return (
            finish is StreamRequestHandler.finish
            and isinstance(wfile, BufferedWriter)
            and wfile.is_idle
        )

    async def finish(self) -> None:
        """Send what `wfile` still holds, and close both files.

        Like socketserver's, but a peer that vanished is no error with a buffered
        `wfile` either.
        """
        try:
            await self.wfile.aclose()
        except RequestTimeoutError:
            raise  # somebody is there, and did not get the reply
        except (OSError, trio.BrokenResourceError):
            pass  # nobody is there, which is no error of the handler's
        finally:
            self.rfile.close()
