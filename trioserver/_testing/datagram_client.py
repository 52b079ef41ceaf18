"""`DatagramClient`: a client for datagrams that reads like the protocol it tests."""

from __future__ import annotations

import socket
from collections.abc import Awaitable
from typing import Final, Protocol, final

import trio

from trioserver._testing.excerpt import difference, excerpt
from trioserver._testing.linked import Linked
from trioserver._testing.options import check_bytes, check_some_time
from trioserver._testing.path import Path
from trioserver._waiting import notify_closing, wait_readable, wait_writable

# More than any datagram has.
_MAX_BYTES: Final = 1 << 18


class DatagramPort(Protocol):
    """What sends and receives datagrams of one peer: a socket of Trio's, for one."""

    def send(self, data: bytes, /) -> Awaitable[int]:
        """Send a datagram."""
        ...

    def recv(self, max_bytes: int, /) -> Awaitable[bytes]:
        """Wait for a datagram."""
        ...

    def close(self) -> None:
        """Close it."""

    def getsockname(self) -> object:
        """Return the address."""
        ...


@final
class MemoryPort:
    """The same on a socket in memory."""

    def __init__(self, sock: socket.socket) -> None:
        self._socket = sock

    async def send(self, data: bytes) -> int:
        """Send a datagram."""
        await trio.lowlevel.checkpoint()
        while True:
            try:
                return self._socket.send(data)
            except BlockingIOError:
                await wait_writable(self._socket)

    async def recv(self, max_bytes: int) -> bytes:
        """Wait for a datagram."""
        await trio.lowlevel.checkpoint()
        while True:
            try:
                return self._socket.recv(max_bytes)
            except BlockingIOError:
                await wait_readable(self._socket)

    def close(self) -> None:
        """Close the socket, and wake who waits for it."""
        notify_closing(self._socket)
        self._socket.close()

    def getsockname(self) -> object:
        """Return the address."""
        return self._socket.getsockname()


@final
class DatagramClient(Linked, trio.abc.AsyncResource):
    """A client of a server for datagrams; it hears nobody else.

    What it expects must come within its *patience*, in seconds of Trio's clock;
    otherwise it raises an `AssertionError` that tells what came instead.
    """

    def __init__(
        self,
        port: DatagramPort,
        *,
        patience: float,
        paths: tuple[Path, Path] | None = None,
    ) -> None:
        super().__init__(paths)
        self.patience: float = patience
        """Seconds that each method may wait."""
        self._port = port

    @property
    def address(self) -> object:
        """The address of this client, as the server sees it."""
        return self._port.getsockname()

    async def send(self, data: bytes) -> None:
        """Send *data* as one datagram.

        Raises:
            AssertionError: If there is no room for it in time.
            OSError: If it cannot be sent: it is too long, or nobody is there.

        Cancellation:
            It was not sent.
        """
        check_bytes("data", data)
        with trio.move_on_after(self.patience) as waiting:
            await self._port.send(data)
        if waiting.cancelled_caught:
            message = f"there was no room for a datagram for {self.patience:g} s"
            raise AssertionError(message)

    async def receive(self) -> bytes:
        """Return the next datagram.

        Raises:
            AssertionError: If none comes in time.
            OSError: If the system tells that nobody is there.

        Cancellation:
            None is lost.
        """
        with trio.move_on_after(self.patience) as waiting:
            return await self._port.recv(_MAX_BYTES)
        assert waiting.cancelled_caught  # noqa: S101  # what else
        message = f"expected a datagram\n  but there came none for {self.patience:g} s"
        raise AssertionError(message)

    async def expect(self, data: bytes) -> None:
        """Receive *data*: as the next datagram, and the whole of it.

        Raises:
            AssertionError: If another one comes, or none in time.
            OSError: If the system tells that nobody is there.
        """
        check_bytes("data", data)
        came = None
        with trio.move_on_after(self.patience):
            came = await self._port.recv(_MAX_BYTES)
        if came != data:
            instead = _shown(came, f"none for {self.patience:g} s")
            more = difference(data, came or b"")
            message = f"expected {_shown(data)}\n  but there came {instead}{more}"
            raise AssertionError(message)

    async def expect_silence(self, seconds: float) -> None:
        """Receive nothing for some *seconds*.

        Raises:
            AssertionError: If a datagram comes.
            OSError: If the system tells that nobody is there.
            ValueError: If that is no time at all: nothing would be seen.
        """
        check_some_time("expect_silence()", seconds)
        with trio.move_on_after(seconds):
            came = await self._port.recv(_MAX_BYTES)
            message = (
                f"expected no datagram for {seconds:g} s\n"
                f"  but there came {_shown(came)}"
            )
            raise AssertionError(message)

    def close(self) -> None:
        """Close the socket."""
        self._port.close()

    async def aclose(self) -> None:
        """Close the socket.

        Cancellation:
            It is closed all the same.
        """
        self.close()
        await trio.lowlevel.checkpoint()


def _shown(data: bytes | None, nothing: str = "") -> str:
    """Return a datagram in words, which may be an empty one."""
    if data is None:
        return nothing
    return excerpt(data) if data else "an empty datagram"
