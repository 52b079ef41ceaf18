"""`StreamClient`: a client that reads like the protocol that it tests."""

from __future__ import annotations

import socket
import struct
from collections.abc import Awaitable, Callable
from typing import Final, NoReturn, final

import trio

from trioserver._streams.connection import Connection
from trioserver._testing.excerpt import difference, excerpt
from trioserver._testing.linked import Linked
from trioserver._testing.options import check_bytes, check_count, check_some_time
from trioserver._testing.path import Path

# struct linger: the next close resets the connection.
_RESET_ON_CLOSE: Final = struct.pack("ii", 1, 0)

_EOF: Final = "the end-of-file"
_RESET: Final = "a reset"


@final
class StreamClient(Linked, trio.abc.AsyncResource):
    """A client of a server under test.

    What it expects must come within its *patience*, in seconds of Trio's clock.
    Otherwise it raises an `AssertionError` which tells what was expected, what came
    instead, and what became of the connection; and what came can still be received.

    ``async with await connect(server) as client:`` closes it in the end, at once.
    """

    def __init__(
        self,
        stream: trio.SocketStream | Connection,
        *,
        patience: float,
        paths: tuple[Path, Path] | None = None,
    ) -> None:
        super().__init__(paths)
        self.stream: trio.SocketStream | Connection = stream
        """The stream itself, for all else. What it receives, no method here will."""
        self.patience: float = patience
        """Seconds that each method may wait."""
        self._came = bytearray()
        # How the stream has ended, and the error that told so.
        self._end: str | None = None

    def __repr__(self) -> str:
        return f"<StreamClient {self.stream!r}, unread: {excerpt(self._came)}>"

    # Sending

    async def send(self, data: bytes | bytearray | memoryview) -> None:
        """Send all of *data*.

        Raises:
            AssertionError: If the server does not take it in time.
            trio.BrokenResourceError: If the server has closed the connection.

        Cancellation:
            Some of it may have been sent.
        """
        check_bytes("data", data)
        await self._in_time(
            lambda: self.stream.send_all(data),
            f"could not send all of {len(data)} bytes: the server does not read",
        )

    async def send_eof(self) -> None:
        """Send an end-of-file. What the server sends can still be received.

        Raises:
            trio.BrokenResourceError: If the server has closed the connection.
        """
        await self.stream.send_eof()

    # Receiving

    async def receive(self) -> bytes:
        """Return what has come, at least one byte; ``b""`` is the end.

        Raises:
            AssertionError: If nothing comes in time, or a reset.

        Cancellation:
            Nothing is lost: here as in all methods that receive or expect.
        """
        ended = await self._until(lambda: bool(self._came))
        if ended not in {None, _EOF}:
            self._fail("expected some data", ended)
        return self._take(len(self._came))

    async def receive_exactly(self, count: int) -> bytes:
        """Return the next *count* bytes.

        Raises:
            AssertionError: If fewer come.
            ValueError: If it is less than 1.
        """
        check_count("count", count)
        ended = await self._until(lambda: len(self._came) >= count)
        if ended is not None:
            self._fail(f"expected {count} bytes", ended)
        return self._take(count)

    async def receive_line(self) -> bytes:
        r"""Return the next line, with its ``\n``.

        Raises:
            AssertionError: If none comes.
        """
        ended = await self._until(lambda: b"\n" in self._came)
        if ended is not None:
            self._fail("expected a line", ended)
        return self._take(self._came.index(b"\n") + 1)

    async def receive_all(self) -> bytes:
        """Return all that comes up to the end-of-file.

        Raises:
            AssertionError: If none comes in time, or a reset.
        """
        ended = await self._until(lambda: False)
        if ended != _EOF:
            self._fail(f"expected data and {_EOF}", ended)
        return self._take(len(self._came))

    # Expecting

    async def expect(self, data: bytes) -> None:
        """Receive *data*: exactly these bytes next, in any number of pieces.

        Raises:
            AssertionError: If something else comes.
        """
        check_bytes("data", data)
        ended = await self._until(
            lambda: (
                len(self._came) >= len(data) or not data.startswith(bytes(self._came))
            )
        )
        if not self._came.startswith(data):
            here = difference(data, self._came)
            self._fail(f"expected {excerpt(data)}", ended, here)
        self._take(len(data))

    async def expect_line(self, line: bytes) -> None:
        r"""Receive *line*, which brings its ``\n``; another one is shown as a whole.

        Raises:
            AssertionError: If another line comes, or none.
            ValueError: If *line* is no line.
        """
        check_bytes("line", line)
        if line.find(b"\n") != len(line) - 1 or not line:
            message = f"a line has one \\n, at its end; for {line!r} there is expect()"
            raise ValueError(message)
        ended = await self._until(lambda: b"\n" in self._came)
        here = bytes(self._came[: self._came.find(b"\n") + 1])
        if ended is not None or here != line:
            self._fail(f"expected {excerpt(line)}", ended, difference(line, here))
        self._take(len(line))

    async def expect_eof(self) -> None:
        """Receive the end-of-file, and no data before it.

        Raises:
            AssertionError: If something else comes, or nothing.
        """
        await self._expect_end(_EOF)

    async def expect_reset(self) -> None:
        """Receive a reset of the connection, and no data before it.

        Raises:
            AssertionError: If something else comes, or nothing.
        """
        await self._expect_end(_RESET)

    async def expect_silence(self, seconds: float) -> None:
        """Receive nothing for some *seconds*, and no end either.

        Raises:
            AssertionError: If something comes.
            ValueError: If that is no time at all: nothing would be seen.
        """
        check_some_time("expect_silence()", seconds)
        with trio.move_on_after(seconds):
            ended = await self._until_ended(lambda: bool(self._came))
            self._fail(f"expected nothing for {seconds:g} s", ended)

    # Closing

    def reset(self) -> None:
        """Close the connection with a reset, whatever was sent and received.

        Nothing happens if it is closed.

        Raises:
            NotImplementedError: If it is a real Unix socket: those cannot.
        """
        sock = self.stream.socket
        if sock.fileno() == -1:
            return
        if sock.family not in {socket.AF_INET, socket.AF_INET6} and not self._paths:
            message = (
                "a Unix socket resets a connection only if it has unread data: put "
                "the server onto a MemoryNetwork, or test this over TCP"
            )
            raise NotImplementedError(message)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)
        self.close()

    def close(self) -> None:
        """Close the connection at once, as `aclose` does, without a checkpoint."""
        if isinstance(self.stream, Connection):
            self.stream.close()
        else:
            self.stream.socket.close()

    async def aclose(self) -> None:
        """Close the connection at once.

        Cancellation:
            It is closed all the same.
        """
        await self.stream.aclose()

    # Inside

    async def _in_time(self, wait: Callable[[], Awaitable[None]], failure: str) -> None:
        with trio.move_on_after(self.patience) as waiting:
            await wait()
        if waiting.cancelled_caught:
            message = f"{failure} (waited for {self.patience:g} s)"
            raise AssertionError(message)

    async def _until(self, is_enough: Callable[[], bool]) -> str | None:
        """Receive until there is enough. Return None, or what came instead of it."""
        with trio.move_on_after(self.patience) as waiting:
            return await self._until_ended(is_enough)
        assert waiting.cancelled_caught  # noqa: S101  # what else
        return f"nothing for {self.patience:g} s"

    async def _until_ended(self, is_enough: Callable[[], bool]) -> str | None:
        while not is_enough():
            if self._end is not None:
                return self._end
            await self._receive_some()
        return None

    async def _receive_some(self) -> None:
        try:
            data = await self.stream.receive_some()
        except trio.BrokenResourceError:
            self._end = _RESET
            return
        self._came += data
        if not data:
            self._end = _EOF

    async def _expect_end(self, expected: str) -> None:
        ended = await self._until(lambda: bool(self._came))
        if ended != expected:
            self._fail(f"expected {expected}", ended)

    def _take(self, count: int) -> bytes:
        taken = bytes(self._came[:count])
        del self._came[:count]
        return taken

    def _fail(self, expected: str, ended: str | None, more: str = "") -> NoReturn:
        then = f", then {ended}" if self._came and ended else ended or ""
        came = excerpt(self._came) if self._came else ""
        message = f"{expected}\n  but there came {came}{then}{more}"
        raise AssertionError(message)
