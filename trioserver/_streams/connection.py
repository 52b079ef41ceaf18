"""A connected stream socket as a Trio stream: what a handler calls ``request``."""

from __future__ import annotations

import errno
import logging
import socket
from collections.abc import Iterable
from typing import Final, NoReturn, final

import trio

from trioserver._exceptions import connection_lost
from trioserver._log import describe, log
from trioserver._open_descriptors import note_open
from trioserver._peer_credentials import PeerCredentials, peer_credentials
from trioserver._streams.descriptors import (
    HasFileno,
    check_can_pass,
    descriptor_numbers,
    receive_descriptors,
    send_descriptors,
)
from trioserver._streams.gathering import GatheredOutput
from trioserver._streams.readiness import Readiness, TrioReadiness

# What one receive asks for when nothing else is said. Trio asks for the same: the
# kernel seldom has more ready, and the block is given back down to what came.
RECEIVE_BYTES: Final = 65536


@final
class Connection(trio.abc.HalfCloseableStream):
    """An accepted connection: a `trio.abc.HalfCloseableStream` on a raw socket.

    Like the socket that socketserver hands to a handler, but asynchronous:
    `receive_some` for ``recv``, `send_all` for ``sendall``, `send_eof` for
    ``shutdown(SHUT_WR)``, `aclose` for ``close``. All else is at `socket`.

    Each of Trio's methods is a checkpoint, as on Trio's own streams. `receive` and
    `send_some` are the same calls for those who checkpoint for themselves.
    """

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
        """Whether there is something that `send_soon` has kept."""
        return bool(self._gathered)

    # Receiving

    async def receive_some(self, max_bytes: int | None = None) -> bytes:
        """Receive what has come, at most *max_bytes*; ``b""`` is the end.

        Like ``recv``, but asynchronous.

        Raises:
            ConnectionLostError: If the peer vanished.
            trio.ClosedResourceError: If this end was closed.
            trio.BusyResourceError: If another task is receiving.

        Cancellation:
            Nothing was received.
        """
        limit = RECEIVE_BYTES if max_bytes is None else max_bytes
        if limit < 1:
            message = f"max_bytes must be 1 or more, not {max_bytes}"
            raise ValueError(message)
        await trio.lowlevel.checkpoint_if_cancelled()
        data = await self.receive(limit)
        await trio.lowlevel.cancel_shielded_checkpoint()
        return data

    async def receive(self, max_bytes: int) -> bytes:
        """Receive as `receive_some` does, a checkpoint only if it has to wait."""
        data = self.receive_nowait(max_bytes)
        return await self.wait_and_receive(max_bytes) if data is None else data

    async def wait_and_receive(self, max_bytes: int) -> bytes:
        """Receive as `receive_some` does, but wait first."""
        self._check_can_receive()
        while True:
            await self._wait_readable()
            data = self.receive_nowait(max_bytes)
            if data is not None:
                return data

    def receive_nowait(self, max_bytes: int) -> bytes | None:
        """Receive as `receive` does, or return None if it would have to wait."""
        if self._busy_receiving:
            self._check_can_receive()
        ready = self._ready
        if not ready.is_readable:
            return None
        try:
            data = self.socket.recv(max_bytes)
        except BlockingIOError:
            return None
        except OSError as error:
            raise _stream_error(error) from error
        if not data:
            self._eof_received = max_bytes > 0
        elif len(data) < max_bytes:
            ready.note_drained()
        return data

    async def _wait_readable(self) -> None:
        self._busy_receiving = True
        try:
            await self._ready.wait_readable()
        finally:
            self._busy_receiving = False

    def _check_can_receive(self) -> None:
        if self._busy_receiving:
            message = "another task is receiving from this connection"
            raise trio.BusyResourceError(message)

    # Sending

    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        """Send all of *data*.

        Like ``sendall``, but asynchronous.

        Raises:
            ConnectionLostError: If the peer vanished.
            trio.ClosedResourceError: If this end was closed, or sent its EOF.
            trio.BusyResourceError: If another task is sending.

        Cancellation:
            Some of the data may have been sent. ``wfile`` knows how much.
        """
        await trio.lowlevel.checkpoint_if_cancelled()
        with memoryview(data) as whole, whole.cast("B") as view:
            self._check_can_send()
            await self._send_from(view, 0)
        await trio.lowlevel.cancel_shielded_checkpoint()

    async def _send_from(self, data: memoryview, sent: int) -> None:
        """Send what comes after the first *sent* bytes of *data*."""
        while sent < len(data):
            with data[sent:] as rest:
                sent += await self.send_some(rest)

    async def send_some(self, data: bytes | bytearray | memoryview) -> int:
        """Send the first part of *data*, a checkpoint only if it has to wait.

        Returns:
            The number of bytes sent, at least 1 if *data* is not empty.

        Cancellation:
            Nothing was sent.
        """
        while (sent := self.send_nowait(data)) is None:
            await self._wait_writable()
        return sent

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
            raise _stream_error(error) from error

    def send_soon(self, data: bytes) -> bool:
        """Let *data* leave with what is sent next, or when this task waits.

        Returns:
            Whether it will. If not, it has to be sent.
        """
        if self._busy_sending or self._eof_sent:
            self._check_can_send()
        if self._gathered is None:
            self._gathered = GatheredOutput(self.socket, self._ready)
        return self._gathered.add(data)

    async def flush(self) -> None:
        """Send what `send_soon` has kept, a checkpoint only if it has to wait."""
        while self._gathered and self.send_nowait(b"") is None:
            await self._wait_writable()

    async def wait_send_all_might_not_block(self) -> None:
        """Wait until `send_all` might not block."""
        await trio.lowlevel.checkpoint_if_cancelled()
        self._check_can_send()
        await self._wait_writable()

    async def send_eof(self) -> None:
        """Send an end-of-file: the peer reads ``b""``, this end can still receive.

        Raises:
            ConnectionLostError: If the peer vanished.
            trio.ClosedResourceError: If this end was closed.
            trio.BusyResourceError: If another task is sending.
        """
        await trio.lowlevel.checkpoint_if_cancelled()
        await self.flush()
        self.half_close()
        await trio.lowlevel.cancel_shielded_checkpoint()

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
            raise _stream_error(error) from error
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

    async def _wait_writable(self) -> None:
        self._busy_sending = True
        try:
            await self._ready.wait_writable()
        finally:
            self._busy_sending = False

    # What Unix sockets alone can do

    @property
    def peer_credentials(self) -> PeerCredentials:
        """Who has connected, as the kernel knows it, whatever the client says.

        For an access check in ``verify_request``, as ``return
        request.peer_credentials.uid in {0, 1000}``.

        Raises:
            trio.ClosedResourceError: If this end was closed.
            OSError: If this is no Unix socket, or the system is not Linux.
        """
        self._check_open()
        return peer_credentials(self.socket)

    @trio.lowlevel.enable_ki_protection
    async def send_fds(
        self,
        data: bytes | bytearray | memoryview,
        fds: Iterable[int | HasFileno],
    ) -> None:
        """Send *data*, and with its first byte duplicates of open files.

        Like `socket.send_fds`, but asynchronous, and all of the data is sent.

        Args:
            data: At least one byte.
            fds: Descriptors, or what has a ``fileno()``; at most 253. They stay open
                here, and may be closed afterwards.

        Raises:
            OSError: If one of them is not open, or this is no Unix socket.
            ConnectionLostError: If the peer vanished.
            trio.ClosedResourceError: If this end was closed, or sent its EOF.
            trio.BusyResourceError: If another task is sending.

        Cancellation:
            The descriptors may have been sent, and some of the data.
        """
        check_can_pass(self.socket)
        numbers = descriptor_numbers(fds)
        if not data:
            message = "descriptors travel with data: send at least one byte"
            raise ValueError(message)
        await trio.lowlevel.checkpoint_if_cancelled()
        with memoryview(data) as whole, whole.cast("B") as view:
            await self._send_from(view, await self._send_first(view, numbers))
        await trio.lowlevel.cancel_shielded_checkpoint()

    async def _send_first(self, data: memoryview, descriptors: list[int]) -> int:
        self._check_can_send()
        await self.flush()
        while True:
            try:
                return send_descriptors(self.socket, data, descriptors)
            except BlockingIOError:
                await self._wait_writable()

    @trio.lowlevel.enable_ki_protection
    async def receive_fds(
        self, max_bytes: int, max_fds: int
    ) -> tuple[bytes, list[int]]:
        """Receive what has come, and the descriptors that came with it.

        Like `socket.recv_fds`, but asynchronous, and no descriptor is lost unnoticed.
        They are yours to close; programs that this process starts do not inherit them.
        `receive_some` and ``rfile`` receive none: the kernel closes them.

        Returns:
            The data, ``b""`` at the end of the stream, and the descriptors.

        Raises:
            DescriptorsLostError: If more than *max_fds* came, or this process has too
                many open files. Those that came are closed.
            OSError: If this is no Unix socket.
            ConnectionLostError: If the peer vanished.
            trio.ClosedResourceError: If this end was closed.
            trio.BusyResourceError: If another task is receiving.

        Cancellation:
            Nothing was received.
        """
        check_can_pass(self.socket)
        for name, value in (("max_bytes", max_bytes), ("max_fds", max_fds)):
            if value < 1:
                message = f"{name} must be 1 or more, not {value}"
                raise ValueError(message)
        await trio.lowlevel.checkpoint_if_cancelled()
        received = await self._receive_with_fds(max_bytes, max_fds)
        await trio.lowlevel.cancel_shielded_checkpoint()
        return received

    async def _receive_with_fds(
        self, max_bytes: int, max_fds: int
    ) -> tuple[bytes, list[int]]:
        self._check_can_receive()
        while True:
            try:
                return receive_descriptors(self.socket, max_bytes, max_fds)
            except BlockingIOError:
                await self._wait_readable()

    # Closing

    async def aclose(self) -> None:
        """Close the connection at once, as Trio's own streams do.

        What the peer sent and nobody read makes the kernel reset the connection, and
        the end of a reply may be lost. To let a reply arrive, return from
        ``handle()``: the server then half-closes and lingers for a while.

        Cancellation:
            The connection is closed all the same.
        """
        self.close()
        await trio.lowlevel.checkpoint()

    def close(self) -> None:
        """Close the connection as `aclose` does, without a checkpoint."""
        if self.is_closed:
            return
        if self._gathered:
            self._gathered.send()
        self._ready.close()
        try:
            self.socket.close()
        except OSError as error:
            # close(2): the descriptor is gone whatever it says; EIO tells of
            # something earlier, which nobody can act on here.
            log(logging.DEBUG, f"Closing a connection said {describe(error)}")


# What a socket has, and what does the same here.
_INSTEAD: Final = {
    "recv": "await receive_some(max_bytes)",
    "recv_into": "await receive_some(max_bytes)",
    "send": "await send_all(data)",
    "sendall": "await send_all(data)",
    "shutdown": "await send_eof() for SHUT_WR",
    "sendmsg": "await send_fds(data, fds)",
    "recvmsg": "await receive_fds(max_bytes, max_fds)",
    "makefile": "a StreamRequestHandler, with self.rfile and self.wfile",
    "settimeout": "trio.fail_after(), or the timeout of a StreamRequestHandler",
}


def _refuse_attribute(_connection: Connection, name: str) -> NoReturn:
    """Say what to use instead of *name*, which a connection does not have."""
    message = f"'Connection' object has no attribute {name!r}"
    if name in _INSTEAD:
        message += f": use {_INSTEAD[name]}"
    elif hasattr(socket.socket, name):
        message += f", but its socket has: use .socket.{name}"
    raise AttributeError(message, name=name, obj=_connection)


# Not in the class body: for type checkers, it would have every attribute then.
setattr(Connection, "__getattr__", _refuse_attribute)  # noqa: B010  # mypy, pyright


def _stream_error(error: OSError) -> Exception:
    """Return the stream error that stands for *error* of a socket call."""
    if error.errno in {errno.EBADF, errno.ENOTSOCK}:
        return trio.ClosedResourceError("this connection was already closed")
    return connection_lost(error)
