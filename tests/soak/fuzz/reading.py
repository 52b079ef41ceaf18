"""`rfile`, with any bytes, segments, limits and operations."""

from __future__ import annotations

import trio

from soak.fuzz.source import Source
from trioserver import BufferedReader, IncompleteReadError, LimitOverrunError


class Segments(trio.abc.ReceiveStream):
    """Delivers what a source says, split as it says."""

    def __init__(self, source: Source) -> None:
        self._source = source
        self._held = b""
        self.delivered = b""

    async def receive_some(self, max_bytes: int | None = None) -> bytes:
        """Deliver the next segment, or the part of it that was asked for."""
        await trio.lowlevel.checkpoint()
        if not self._held:
            self._held = self._source.some(self._source.number(30) + 1)
        size = len(self._held) if max_bytes is None else max_bytes
        block, self._held = self._held[:size], self._held[size:]
        self.delivered += block
        return block

    async def aclose(self) -> None:
        """Have nothing to close."""


def read_anything(data: bytes) -> None:
    """Read, and compare with what was delivered."""
    source = Source(data)
    trio.run(_read_anything, source)


async def _read_anything(source: Source) -> None:
    limit = source.number(40)
    stream = Segments(source)
    reader = BufferedReader(
        stream,
        source.one_of((-1, 0, 1, 7, 64)),
        max_line_bytes=limit,
        max_read_bytes=limit,
    )
    taken = b""
    for _ in range(source.number(20)):
        taken += await _operate(reader, source)
    rest = await reader.read(1_000_000)
    assert taken + rest == stream.delivered, (taken, rest, stream.delivered)


async def _operate(reader: BufferedReader, source: Source) -> bytes:
    """Return what one operation has taken."""
    operation = source.number(7)
    size = source.number(50)
    separator = source.some(source.number(3) + 1) or b"\n"
    operations = (
        reader.readline,
        lambda: reader.readline(size),
        lambda: reader.read(size),
        lambda: reader.read1(size),
        reader.read,
        lambda: reader.readexactly(size),
        lambda: reader.readuntil(separator, size),
        lambda: anext(reader, b""),
    )
    try:
        return await operations[operation]()
    except IncompleteReadError as error:
        return error.partial
    except LimitOverrunError:
        return b""
