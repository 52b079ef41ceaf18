"""A connected stream socket as a Trio stream: what a handler calls ``request``."""

from __future__ import annotations

import socket
from collections.abc import Iterable
from typing import Final, NoReturn, final

import trio

from trioserver._peer_credentials import PeerCredentials, peer_credentials
from trioserver._streams.descriptors import (
    HasFileno,
    check_can_pass,
    descriptor_numbers,
    receive_descriptors,
    send_descriptors,
)
from trioserver._streams.socket_end import SocketEnd

# What one receive asks for when nothing else is said. Trio asks for the same: the
# kernel seldom has more ready, and the block is given back down to what came.
RECEIVE_BYTES: Final = 65536


@final
class Connection(SocketEnd, trio.abc.HalfCloseableStream):
    """An accepted connection: a `trio.abc.HalfCloseableStream` on a raw socket.

    Like the socket that socketserver hands to a handler, but asynchronous:
    `receive_some` for ``recv``, `send_all` for ``sendall``, `send_eof` for
    ``shutdown(SHUT_WR)``, `aclose` for ``close``. All else is at `socket`.

    Each of Trio's methods is a checkpoint, as on Trio's own streams. `receive` and
    `send_some` are the same calls for those who checkpoint for themselves.
    """

    __slots__ = ()

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

    # Ctrl-C may not strike between the beginning of a wait and the wait itself.
    @trio.lowlevel.enable_ki_protection
    async def wait_and_receive(self, max_bytes: int) -> bytes:
        """Receive as `receive_some` does, once `receive_nowait` has found nothing."""
        while True:
            # As _wait_readable() does, but without a coroutine more.
            self._busy_receiving = True
            try:
                await self._ready.wait_readable()
            finally:
                self._busy_receiving = False
            data = self.receive_nowait(max_bytes)
            if data is not None:
                return data

    @trio.lowlevel.enable_ki_protection
    async def _wait_readable(self) -> None:
        self._busy_receiving = True
        try:
            await self._ready.wait_readable()
        finally:
            self._busy_receiving = False

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
