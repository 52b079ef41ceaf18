"""``wfile``: write to a stream, at once or buffered."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final, Protocol, final

import trio

from trioserver._cancellation import CLEANUP_TIMEOUT, cleanup_scope, time_left
from trioserver._streams.budget import Budget
from trioserver._streams.connection import Connection
from trioserver._streams.timeouts import operation_timeout

_NOTHING: Final = memoryview(b"")

# What io.open() and socket.makefile() use for a buffer size of -1.
DEFAULT_BUFFER_BYTES: Final = 8192


class HoldsData(Protocol):
    """Knows whether the next request is here."""

    @property
    def holds_data(self) -> bool:
        """Whether there is something to read that has come already."""
        ...


@final
class BufferedWriter:
    """A stream as a writable file.

    Like `io.BufferedWriter`, but asynchronous; with a buffer size of 0, each write is
    sent at once and in full, as socketserver's ``wfile`` does.

    Every method is a cancellation point. One that need not wait lets other tasks run
    only now and then. A write on a `Connection` that is cancelled keeps its place:
    what has not left yet goes first in the next `write`, `flush` or `aclose`, so
    that the peer never sees a gap. In a task that was cancelled before the call,
    nothing is written.
    """

    __slots__ = (
        "_budget",
        "_buffer",
        "_buffer_bytes",
        "_cleanup_timeout",
        "_closed",
        "_reader",
        "_sending",
        "_sink",
        "_timeout",
    )

    def __init__(
        self,
        stream: trio.abc.SendStream,
        buffer_size: int = 0,
        *,
        timeout: float | None = None,
        cleanup_timeout: float = CLEANUP_TIMEOUT,
        budget: Budget | None = None,
        reader: HoldsData | None = None,
    ) -> None:
        """Write to *stream*, which the caller goes on owning.

        Args:
            stream: Any stream of Trio's.
            buffer_size: Bytes to gather before they are sent; 0 sends at once, -1
                gathers 8 KiB.
            timeout: Seconds that sending one write may take. None: for ever.
            cleanup_timeout: Seconds that `aclose` goes on after a cancellation.
            budget: Shared with the reader, so that both together yield in time.
            reader: While it holds more to read, what is written may leave with what is
                written next, but not later than when its task waits for anything.
        """
        self._sink = stream if isinstance(stream, Connection) else _AnySink(stream)
        self._buffer_bytes = DEFAULT_BUFFER_BYTES if buffer_size < 0 else buffer_size
        self._timeout = timeout
        self._cleanup_timeout = cleanup_timeout
        self._budget = budget or Budget()
        self._reader: HoldsData = reader or _NoReader()
        self._buffer = bytearray()
        self._sending = False
        self._closed = False

    async def write(self, data: bytes | bytearray | memoryview) -> int:
        """Write *data*: sent on return, or, with a buffer, once the buffer is full.

        Returns:
            The number of bytes in *data*.

        Raises:
            ConnectionLostError: If the peer vanished.
            RequestTimeoutError: If the peer did not take it within the time-out.
            trio.BusyResourceError: If another task is writing.
        """
        if self._closed or self._sending:
            self._check_can_write()
        budget = self._budget
        if budget.left > 1:
            budget.left -= 1
            await trio.lowlevel.checkpoint_if_cancelled()
        else:
            await budget.spend()
            self._check_can_write()  # others have run, and may be writing
        sent = 0
        if (
            isinstance(data, bytes)
            and data
            and not (self._buffer_bytes or self._buffer)
        ):
            # Most of all writes: it leaves whole, and at once if no request is waiting.
            if self._reader.holds_data and self._sink.send_soon(data):
                return len(data)
            sent = self._sink.send_nowait(data) or 0
            if sent == len(data):
                return sent
        return await self._write(data, sent)

    async def _write(self, data: bytes | bytearray | memoryview, sent: int) -> int:
        """Write *data*, of which the first bytes were *sent*."""
        # Before it is added to what an earlier write has left.
        self._check_can_write()
        with memoryview(data) as whole, whole.cast("B") as view, view[sent:] as rest:
            if self._buffer or len(rest) < self._buffer_bytes:
                self._buffer += rest
                if len(self._buffer) >= self._buffer_bytes:
                    await self._send(_NOTHING)
            else:
                await self._send(rest)
            return len(view)

    async def writelines(self, lines: Iterable[bytes]) -> None:
        """Write the *lines* one after the other; they bring their own ends."""
        await self.write(b"".join(lines))

    async def flush(self) -> None:
        """Send what the buffer holds.

        Raises:
            ConnectionLostError: If the peer vanished. What could not be sent is gone.
            RequestTimeoutError: Likewise, if the peer did not take it in time.
        """
        await self._begin()
        if self._holds_output:
            await self._send(_NOTHING)

    @property
    def is_idle(self) -> bool:
        """Whether there is nothing to send, and nobody is sending."""
        return not (self._sending or self._sink.is_sending or self._holds_output)

    @property
    def closed(self) -> bool:
        """Whether `close` or `aclose` was called."""
        return self._closed

    def close(self) -> None:
        """Refuse to write any more, and forget what the buffer holds."""
        self._closed = True
        self._buffer.clear()

    async def aclose(self) -> None:
        """Send what the buffer holds, then `close`. The stream stays open.

        Cancellation:
            What is left is sent all the same, for at most the *cleanup_timeout*; but a
            deadline that was as near as that from the beginning is the end.
        """
        if self._closed:
            return
        has_deadline = self._holds_output and 0 < time_left() <= self._cleanup_timeout
        try:
            await self.flush()
        except trio.Cancelled:
            if not has_deadline:
                with cleanup_scope(self._cleanup_timeout):
                    await self.flush()
            raise
        finally:
            self.close()

    # Sending

    @property
    def _holds_output(self) -> bool:
        return bool(self._buffer) or self._sink.holds_output

    def _forget_output(self) -> None:
        self._buffer.clear()
        self._sink.forget_output()

    async def _begin(self) -> None:
        self._check_can_write()
        if await self._budget.spend():
            # Another task may have begun to write meanwhile.
            self._check_can_write()

    def _check_can_write(self) -> None:
        if self._closed:
            message = "this writer was closed"
            raise trio.ClosedResourceError(message)
        if self._sending or self._sink.is_sending:
            message = "another task is writing to this stream"
            raise trio.BusyResourceError(message)

    # Ctrl-C may not strike where it would leave the mark that a task is sending.
    @trio.lowlevel.enable_ki_protection
    async def _send(self, data: memoryview) -> None:
        """Send the buffer, then *data*. Keep the rest if that is cancelled."""
        sent = 0
        self._sending = True
        try:
            with operation_timeout(self._timeout, "sending"):
                await self._sink.flush()
                while self._buffer:
                    del self._buffer[: await self._sink.send_some(self._buffer)]
                while sent < len(data):
                    if sent:
                        # A fast peer could otherwise keep a large write going for ever.
                        await self._budget.spend()
                    with data[sent:] as rest:
                        sent += await self._sink.send_some(rest)
        except trio.Cancelled:
            if isinstance(self._sink, Connection):
                with data[sent:] as rest:
                    self._buffer += rest
            raise
        except BaseException:
            self._forget_output()
            raise
        finally:
            self._sending = False


class _NoReader:
    """Nobody knows what comes next."""

    holds_data = False


class _AnySink:
    """Any stream of Trio's, which sends all or fails.

    A call that was cancelled may have sent some of what it was given, and nobody knows
    how much. To send it again could repeat it, so it is taken out first.
    """

    __slots__ = ("_stream",)

    # The stream refuses a second task by itself, and keeps nothing.
    is_sending = False
    holds_output = False

    def __init__(self, stream: trio.abc.SendStream) -> None:
        self._stream = stream

    def send_nowait(self, _data: bytes) -> None:
        """Send nothing: all that it can do is wait."""

    def send_soon(self, _data: bytes) -> bool:
        """Return False: nobody would send it."""
        return False

    async def flush(self) -> None:
        """Do nothing: it keeps nothing."""

    def forget_output(self) -> None:
        """Do nothing, likewise."""

    async def send_some(self, data: bytearray | memoryview) -> int:
        """Send all of *data*. Return its length."""
        whole = bytes(data)
        if isinstance(data, bytearray):
            data.clear()
        await self._stream.send_all(whole)
        return len(whole)
