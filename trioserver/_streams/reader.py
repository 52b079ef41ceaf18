"""``rfile``: read lines, records and blocks from a stream."""

from __future__ import annotations

from collections.abc import Awaitable
from typing import Final, NoReturn, Self, final

import trio

from trioserver._exceptions import IncompleteReadError, LimitOverrunError
from trioserver._streams.budget import OPERATIONS, Budget
from trioserver._streams.connection import RECEIVE_BYTES, Connection
from trioserver._streams.timeouts import operation_timeout

# Some precedents: asyncio.StreamReader 64 KiB, http.server 64 KiB, h11 16 KiB.
MAX_LINE_BYTES: Final = 65536

# Some precedents for a whole body: nginx client_max_body_size 1 MiB, aiohttp 1 MiB.
MAX_READ_BYTES: Final = 1048576

# The most that stays in memory after it was taken, to be thrown away with what comes
# next. Lines that came together are taken without moving what follows them.
MAX_TAKEN_BYTES: Final = RECEIVE_BYTES


@final
class BufferedReader:
    """A stream as a readable file.

    Like `io.BufferedReader`, but asynchronous; and a read whose length the peer
    decides (`readline`, `readuntil`, iteration, ``read()`` to the end) has a limit.
    Going over it raises `LimitOverrunError` and keeps what was read.

    Every method is a cancellation point. One that finds what it needs in the buffer
    lets other tasks run only now and then (see the page on checkpoints). A read that
    is cancelled or fails loses nothing: what had come is there for the next read.
    """

    __slots__ = (
        "_budget",
        "_buffer",
        "_closed",
        "_eof",
        "_receive_bytes",
        "_receiving",
        "_source",
        "_start",
        "_timeout",
        "max_line_bytes",
        "max_read_bytes",
    )

    def __init__(
        self,
        stream: trio.abc.ReceiveStream,
        buffer_size: int = -1,
        *,
        timeout: float | None = None,
        max_line_bytes: float = MAX_LINE_BYTES,
        max_read_bytes: float = MAX_READ_BYTES,
        budget: Budget | None = None,
    ) -> None:
        """Read from *stream*, which the caller goes on owning.

        Args:
            stream: Any stream of Trio's.
            buffer_size: Bytes to ask the stream for at once; -1 is 64 KiB. With 0,
                nothing is taken from the stream beyond what a read returns, so that
                another program can read on from there; lines then cost a call a byte.
            timeout: Seconds that one wait for data may take. None: for ever.
            max_line_bytes: The longest line or record, separator included.
            max_read_bytes: The most that ``read()`` to the end returns.
            budget: Shared with the writer, so that both together yield in time.
        """
        self._source = stream if isinstance(stream, Connection) else _AnySource(stream)
        self._receive_bytes = RECEIVE_BYTES if buffer_size < 0 else buffer_size
        self._timeout = timeout
        self.max_line_bytes: float = max_line_bytes
        """The longest line or record, its separator included."""
        self.max_read_bytes: float = max_read_bytes
        """The most that ``read()`` to the end returns."""
        self._budget = budget or Budget()
        # What was read and not taken begins at _start, so that taking a line moves
        # nothing.
        self._buffer: bytes | bytearray = b""
        self._start = 0
        self._eof = False
        self._receiving = False
        self._closed = False

    # What io.BufferedReader has

    async def read(self, size: int | None = -1) -> bytes:
        """Read *size* bytes, fewer only at the end; all up to the end if negative.

        Raises:
            LimitOverrunError: If *size* is negative and there are more than
                ``max_read_bytes`` bytes.
        """
        if self._closed or self._receiving:
            self._check_can_read()
        if size is None or size < 0:
            await self._fill_to_eof()
            return self._take(self._there)
        await self._fill(size)
        return self._take(size)

    async def read1(self, size: int = -1) -> bytes:
        """Read what is there, waiting at most once; at most *size* bytes, or 64 KiB."""
        self._check_can_read()
        size = RECEIVE_BYTES if size < 0 else size
        await self._fill(min(size, 1), wanted=size)
        return self._take(size)

    async def readline(self, limit: float | None = -1) -> bytes:
        r"""Read through the next ``\n``; the last line may lack it; ``b""`` at the end.

        Args:
            limit: Return after so many bytes, in the middle of the line if need be.
                Negative: the whole line, if it has at most ``max_line_bytes``.

        Raises:
            LimitOverrunError: If no *limit* is given and the line is too long.
        """
        if self._closed or self._receiving:
            self._check_can_read()
        if limit is not None and limit >= 0:
            end = await self._find(b"\n", limit, enough=limit)
            return self._take(int(min(limit, self._there)) if end is None else end)
        limit = self.max_line_bytes
        end = await self._find(b"\n", limit, enough=limit + 1)
        if end is None and self._there > limit:
            self._refuse("a line is too long: raise max_line_bytes to allow it", limit)
        return self._take(self._there if end is None else end)

    # What asyncio.StreamReader has in addition

    async def readuntil(
        self, separator: bytes = b"\n", limit: float | None = None
    ) -> bytes:
        """Read through the next *separator*.

        Like `asyncio.StreamReader.readuntil`.

        Args:
            separator: One byte or more.
            limit: The most that is returned, separator included. By default,
                ``max_line_bytes``.

        Raises:
            IncompleteReadError: If the stream ends first; ``partial`` has the rest.
            LimitOverrunError: If the separator does not come within *limit* bytes.
        """
        if not separator:
            message = "the separator must have at least one byte"
            raise ValueError(message)
        self._check_can_read()
        remedy = "give a higher limit"
        if limit is None or limit < 0:
            limit, remedy = self.max_line_bytes, "raise max_line_bytes"
        end = await self._find(separator, limit, enough=limit + 1)
        if end is not None:
            return self._take(end)
        if self._there > limit:
            self._refuse(
                f"no {separator!r} came in time: {remedy} to allow it",
                limit,
            )
        partial = self._take(self._there)
        raise IncompleteReadError(partial, f"the separator {separator!r}")

    async def readexactly(self, n: int) -> bytes:
        """Read *n* bytes, no fewer.

        Like `asyncio.StreamReader.readexactly`.

        Raises:
            IncompleteReadError: If the stream ends first; ``partial`` has the rest.
        """
        if n < 0:
            message = f"cannot read {n} bytes: the number must be 0 or more"
            raise ValueError(message)
        self._check_can_read()
        await self._fill(n)
        if self._there < n:
            partial = self._take(self._there)
            raise IncompleteReadError(partial, f"the {n} bytes that were asked for")
        return self._take(n)

    # Iteration over lines

    def __aiter__(self) -> Self:
        """Iterate over the lines, up to the end of the stream."""
        return self

    async def __anext__(self) -> bytes:
        """Read the next line as `readline` does."""
        # Most lines come alone, or are there already. Not by readline(): each coroutine
        # that an idle connection waits in costs.
        if self._closed or self._receiving:
            self._check_can_read()
        budget = self._budget
        if not self._buffer and not self._eof:
            await self._receive(1)
        elif budget.left > 1:
            budget.left -= 1
            await trio.lowlevel.checkpoint_if_cancelled()
        else:
            await budget.spend()
            self._check_can_read()  # others have run, and may be reading
        end = self._buffer.find(b"\n", self._start) + 1
        if 0 < end <= self._start + self.max_line_bytes:
            return self._take(end - self._start)
        line = await self.readline()
        if not line:
            raise StopAsyncIteration
        return line

    @property
    def holds_data(self) -> bool:
        """Whether there is something to read that has come already."""
        return self._start < len(self._buffer)

    # Closing

    @property
    def closed(self) -> bool:
        """Whether `close` was called."""
        return self._closed

    def close(self) -> None:
        """Refuse to read any more. The stream stays open."""
        self._closed = True

    # The buffer: only _receive() adds to it, only _take() removes from it, so that
    # whatever ends a read in between loses nothing.

    # An operation pays once for each time that it receives, and once if it need not.

    def _check_can_read(self) -> None:
        if self._closed:
            message = "this reader was closed"
            raise trio.ClosedResourceError(message)
        if self._receiving:
            message = "another task is reading from this stream"
            raise trio.BusyResourceError(message)

    async def _pay(self) -> None:
        """Pay for not receiving."""
        if await self._budget.spend():
            # Others have run, and may be reading.
            self._check_can_read()

    async def _receive(self, wanted: int) -> None:
        """Receive once, and add it to the buffer or note the end of the stream."""
        size = self._receive_bytes or min(wanted, RECEIVE_BYTES)
        self._receiving = True
        try:
            if not self._receive_bytes:
                # Cancelled, it has taken nothing that another program is to read.
                await self._budget.spend()
            data = self._source.receive_nowait(size)
            if data is None:
                if self._timeout is None:
                    self._note(await self._source.wait_and_receive(size))
                else:
                    self._note(await self._receive_in_time(size))
                self._budget.left = OPERATIONS  # others have run
            else:
                self._note(data)
                if self._receive_bytes:
                    # A fast peer could otherwise keep one long read going for ever.
                    await self._budget.spend()
        finally:
            self._receiving = False

    async def _receive_in_time(self, size: int) -> bytes | bytearray:
        with operation_timeout(self._timeout, "receiving"):
            return await self._source.wait_and_receive(size)

    def _note(self, data: bytes | bytearray) -> None:
        """Add *data* to the buffer, which takes it as it is while it is alone there."""
        self._eof = not data
        if not self._buffer:
            self._buffer = bytes(data)
            return
        if isinstance(self._buffer, bytes):
            self._buffer = bytearray(self._buffer[self._start :])
        else:
            del self._buffer[: self._start]
        self._start = 0
        self._buffer += data

    @property
    def _there(self) -> int:
        """How many bytes can be taken."""
        return len(self._buffer) - self._start

    async def _fill(self, size: int, wanted: int = 0) -> None:
        """Receive until *size* bytes are there, or the stream has ended."""
        if self._there >= size or self._eof:
            await self._pay()
        while self._there < size and not self._eof:
            await self._receive((wanted or size) - self._there)

    async def _fill_to_eof(self) -> None:
        if self._eof or self._there > self.max_read_bytes:
            await self._pay()
        while self._there <= self.max_read_bytes:
            if self._eof:
                return
            await self._receive(RECEIVE_BYTES)
        self._refuse(
            "there is more to read than allowed: raise max_read_bytes, or read blocks",
            self.max_read_bytes,
        )

    async def _find(
        self, separator: bytes, limit: float, *, enough: float
    ) -> int | None:
        """Receive until *separator* ends within the first *limit* bytes. Return where.

        Returns:
            The number of bytes through the separator. None once *enough* bytes are
            there without it, or the stream has ended. It never depends on how the
            bytes were split on their way.
        """
        searched = 0
        has_paid = False
        while True:
            there, start = self._there, self._start
            stop = there if there < limit else int(limit)
            index = self._buffer.find(separator, start + searched, start + stop)
            if index >= 0 or self._eof or there >= enough:
                if has_paid or not await self._budget.spend():
                    return index + len(separator) - start if index >= 0 else None
                # Others have run, and may have read.
                self._check_can_read()
                searched = 0
            else:
                searched = max(0, stop - len(separator) + 1)
                await self._receive(1)
            has_paid = True

    def _take(self, size: int) -> bytes:
        """Remove the first *size* bytes from the buffer."""
        buffer, start = self._buffer, self._start
        end = start + size
        if end < len(buffer):
            taken = bytes(buffer[start:end])
            if end > MAX_TAKEN_BYTES and end > len(buffer) // 2:
                # Not held while somebody waits for the rest of a line, or for ever.
                self._buffer, end = bytes(buffer[end:]), 0
            self._start = end
            return taken
        self._buffer, self._start = b"", 0
        return bytes(buffer[start:] if start else buffer)

    def _refuse(self, what: str, limit: float) -> NoReturn:
        """Report that *limit* does not hold. The buffer keeps what was read."""
        raise LimitOverrunError(what, int(limit), self._there)


class _AnySource:
    """Any stream of Trio's, which always waits."""

    __slots__ = ("_stream",)

    def __init__(self, stream: trio.abc.ReceiveStream) -> None:
        self._stream = stream

    def receive_nowait(self, _size: int) -> None:
        """Receive nothing: all that it can do is wait."""

    def wait_and_receive(self, size: int) -> Awaitable[bytes | bytearray]:
        """Receive what comes, at most *size* bytes."""
        return self._stream.receive_some(size)
