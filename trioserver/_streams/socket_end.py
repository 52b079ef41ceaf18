"""One end of a connection: all that never has to wait."""

from __future__ import annotations

import errno
import logging
import socket

import trio

from trioserver._exceptions import connection_lost
from trioserver._log import describe, log
from trioserver._open_descriptors import note_open
from trioserver._streams.gathering import GatheredOutput
from trioserver._streams.readiness import Readiness, TrioReadiness


class SocketEnd:
    """A non-blocking stream socket, what is known of it, and what waits to leave."""

    __slots__ = (
        "_busy_receiving",
        "_busy_sending",
        "_eof_received",
        "_eof_sent",
        "_gathered",
        "_ready",
        "socket",
    )

    def __init__(
        self, sock: socket.socket, *, readiness: Readiness | None = None
    ) -> None:
        """Take ownership of *sock*, which is made non-blocking.

        Args:
            sock: A connected stream socket.
            readiness: How to wait for it. By default, as Trio does.
        """
        sock.setblocking(False)
        self.socket: socket.socket = note_open(sock)
        """The socket itself, non-blocking, for options, addresses and ``fileno()``."""
        self._ready: Readiness = readiness or TrioReadiness(sock)
        self._busy_receiving = False
        self._busy_sending = False
        self._eof_received = False
        self._eof_sent = False
        # Most connections never have any.
        self._gathered: GatheredOutput | None = None

    def __repr__(self) -> str:
        return f"<Connection {self.socket!r}>"

    @property
    def is_closed(self) -> bool:
        """Whether `aclose` or `close` was called."""
        return self.socket.fileno() == -1

    @property
    def has_received_eof(self) -> bool:
        """Whether the peer's end-of-file was read, so that nothing more can come."""
        return self._eof_received

    @property
    def is_sending(self) -> bool:
        """Whether a task is waiting to send."""
        return self._busy_sending

    @property
    def holds_output(self) -> bool:
        """Whether `send_soon` has kept something, or failed to send it."""
        return bool(self._gathered)

    # Receiving

    def receive_nowait(self, max_bytes: int) -> bytes | None:
        """Receive as `receive` does, or return None if it would have to wait."""
        if self._busy_receiving:
            self._check_can_receive()
        ready = self._ready
        if not ready.is_readable:
            return None
        try:
            data = self.socket.recv(max_bytes)
            if not data and self._gathered:
                self._gathered.check_end()
        except BlockingIOError:
            return None
        except OSError as error:
            raise stream_error(error) from error
        if not data:
            self._eof_received = max_bytes > 0
        elif len(data) < max_bytes:
            ready.note_drained()
        return data

    def _check_can_receive(self) -> None:
        if self._busy_receiving:
            message = "another task is receiving from this connection"
            raise trio.BusyResourceError(message)

    # Sending

    def send_nowait(self, data: bytes | bytearray | memoryview) -> int | None:
        """Send as `send_some` does, or return None if it would have to wait."""
        if self._busy_sending or self._eof_sent:
            self._check_can_send()
        try:
            if self._gathered:
                return self._gathered.send_with(data)
            return self.socket.send(data)
        except BlockingIOError:
            return None
        except OSError as error:
            raise stream_error(error) from error

    def send_soon(self, data: bytes) -> bool:
        """Let *data* leave with what is sent next, or when this task waits.

        Returns:
            Whether it will. If not, it has to be sent.
        """
        if self._busy_sending or self._eof_sent:
            self._check_can_send()
        if self._gathered is None:
            # So it is again once this is closed.
            self._check_open()
            self._gathered = GatheredOutput(self.socket, self._ready)
        try:
            return self._gathered.add(data)
        except OSError as error:
            raise stream_error(error) from error

    def forget_output(self) -> None:
        """Do not send what `send_soon` has kept."""
        if self._gathered is not None:
            self._gathered.forget()

    def half_close(self) -> None:
        """Send an end-of-file as `send_eof` does, without a checkpoint."""
        if self._eof_sent and not self.is_closed:
            return
        self._check_can_send()
        if self._gathered:
            self._gathered.send()
        try:
            self.socket.shutdown(socket.SHUT_WR)
        except OSError as error:
            raise stream_error(error) from error
        self._eof_sent = True

    def _check_can_send(self) -> None:
        if self._busy_sending:
            message = "another task is sending on this connection"
            raise trio.BusyResourceError(message)
        self._check_open()
        if self._eof_sent:
            message = "this connection has sent its end-of-file already"
            raise trio.ClosedResourceError(message)

    def _check_open(self) -> None:
        if self.is_closed:
            message = "this connection was already closed"
            raise trio.ClosedResourceError(message)

    # Closing

    def close(self) -> None:
        """Close the connection as `aclose` does, without a checkpoint."""
        if self.is_closed:
            return
        if self._gathered is not None:
            self._gathered.send()
            self._gathered = None
        self._ready.close()
        try:
            self.socket.close()
        except OSError as error:
            # close(2): the descriptor is gone whatever it says; EIO tells of
            # something earlier, which nobody can act on here.
            log(logging.DEBUG, f"Closing a connection said {describe(error)}")


def stream_error(error: OSError) -> Exception:
    """Return the stream error that stands for *error* of a socket call."""
    if error.errno in {errno.EBADF, errno.ENOTSOCK}:
        return trio.ClosedResourceError("this connection was already closed")
    return connection_lost(error)
