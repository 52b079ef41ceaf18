"""`BufferedReader` against `io.BytesIO`: how bytes are split on their way is no matter.

The same operations on both, with the same results, for any bytes, any segments, any
buffer size and any limits, whatever is cancelled on the way.
"""

from __future__ import annotations

import io
import socket
from collections.abc import Awaitable, Callable

import attrs
import pytest
import trio
import trio.testing
from hypothesis import given, settings
from hypothesis import strategies as st

from kit.layers import LAYERS
from kit.moments import EXAMPLES
from kit.serving import STUCK
from trioserver import BufferedReader, IncompleteReadError, LimitOverrunError
from unit.streams.pairs import connected, tcp_pair, waiting_by
from unit.streams.segments import SegmentStream

pytestmark = pytest.mark.proof

# Few different bytes, so that separators are frequent, and their beginnings too.
some_bytes = st.text("\n\r;a", min_size=1, max_size=12).map(str.encode)
separators = st.text("\n\r;a", min_size=1, max_size=3).map(str.encode)
sizes = st.integers(0, 12)
segment_lists = st.lists(some_bytes, max_size=12)
buffer_sizes = st.sampled_from([0, 1, 7, -1])

# What an operation returns, or the name of its error and what that hands over.
Result = bytes | tuple[str, bytes]


@attrs.frozen
class Read:
    """An operation of the reader, and what the model of it does."""

    name: str
    perform: Callable[[BufferedReader], Awaitable[bytes]] = attrs.field(repr=False)
    model: Callable[[Model], Result] = attrs.field(repr=False)


@attrs.frozen
class Model:
    """What the standard library's own file says, with limits on top."""

    file: io.BytesIO
    max_line_bytes: int
    max_read_bytes: int

    def rest(self) -> bytes:
        return self.file.getvalue()[self.file.tell() :]

    def take(self, size: int, limit: float) -> Result:
        return ("LimitOverrunError", b"") if size > limit else self.file.read(size)

    def read_to_end(self) -> Result:
        return self.take(len(self.rest()), self.max_read_bytes)

    def readline(self) -> Result:
        line, newline, _ = self.rest().partition(b"\n")
        return self.take(len(line + newline), self.max_line_bytes)

    def readuntil(self, separator: bytes, limit: int | None) -> Result:
        limit = self.max_line_bytes if limit is None else limit
        record, found, _ = self.rest().partition(separator)
        taken = self.take(len(record + found), limit)
        if found or isinstance(taken, tuple):
            return taken
        return "IncompleteReadError", taken

    def readexactly(self, size: int) -> Result:
        block = self.file.read(size)
        return block if len(block) == size else ("IncompleteReadError", block)


def read(size: int) -> Read:
    return Read(f"read({size})", lambda r: r.read(size), lambda m: m.file.read(size))


def readline_limited(limit: int) -> Read:
    return Read(
        f"readline({limit})",
        lambda r: r.readline(limit),
        lambda m: m.file.readline(limit),
    )


def readexactly(size: int) -> Read:
    return Read(
        f"readexactly({size})",
        lambda r: r.readexactly(size),
        lambda m: m.readexactly(size),
    )


def readuntil(separator: bytes, limit: int | None) -> Read:
    return Read(
        f"readuntil({separator!r}, {limit})",
        lambda r: r.readuntil(separator, limit),
        lambda m: m.readuntil(separator, limit),
    )


async def next_line(reader: BufferedReader) -> bytes:
    return await anext(reader, b"")


reads = st.one_of(
    sizes.map(read),
    sizes.map(readline_limited),
    sizes.map(readexactly),
    st.builds(readuntil, separators, st.none() | sizes),
    st.sampled_from(
        [
            Read("read()", BufferedReader.read, Model.read_to_end),
            Read("readline()", BufferedReader.readline, Model.readline),
            Read("anext()", next_line, Model.readline),
        ]
    ),
)


read_lists = st.lists(reads, min_size=1, max_size=8)
thorough = settings(deadline=None, max_examples=EXAMPLES)


async def result_of(operation: Awaitable[bytes]) -> Result:
    try:
        return await operation
    except IncompleteReadError as error:
        return "IncompleteReadError", error.partial
    except LimitOverrunError:
        return "LimitOverrunError", b""


@thorough
@given(segment_lists, buffer_sizes, st.tuples(sizes, sizes), read_lists)
async def test_reads_what_a_file_reads_however_it_is_split(
    segments: list[bytes],
    buffer_size: int,
    limits: tuple[int, int],
    operations: list[Read],
) -> None:
    data = b"".join(segments)
    model = Model(io.BytesIO(data), *limits)
    reader = BufferedReader(
        SegmentStream(*segments),
        buffer_size,
        max_line_bytes=model.max_line_bytes,
        max_read_bytes=model.max_read_bytes,
    )

    for operation in operations:
        result = await result_of(operation.perform(reader))

        assert result == operation.model(model), operation

    # Whatever went wrong, nothing was lost.
    assert await reader.read(len(data) + 1) == model.rest()


@thorough
@given(segment_lists, buffer_sizes, st.lists(st.integers(-1, 12), max_size=12))
async def test_read1_returns_some_of_what_is_next(
    segments: list[bytes], buffer_size: int, asked: list[int]
) -> None:
    rest = b"".join(segments)
    reader = BufferedReader(SegmentStream(*segments), buffer_size)

    for size in asked:
        block = await reader.read1(size)

        assert rest.startswith(block)
        assert size < 0 or len(block) <= size
        assert block or not rest or size == 0
        rest = rest[len(block) :]


@thorough
@given(segment_lists, buffer_sizes)
async def test_iterates_over_the_lines_of_a_file(
    segments: list[bytes], buffer_size: int
) -> None:
    reader = BufferedReader(SegmentStream(*segments), buffer_size)

    lines = [line async for line in reader]

    assert lines == list(io.BytesIO(b"".join(segments)))


@thorough
@given(segment_lists, read_lists)
async def test_without_a_buffer_takes_no_more_than_it_returns(
    segments: list[bytes], operations: list[Read]
) -> None:
    stream = SegmentStream(*segments)
    reader = BufferedReader(stream, 0)
    model = Model(io.BytesIO(b"".join(segments)), 1000, 1000)

    for operation in operations:
        result = await result_of(operation.perform(reader))
        operation.model(model)
        if isinstance(result, tuple):
            break  # over a limit, the reader keeps what it has taken

        left = b"".join(segment for segment in stream.segments if segment)
        assert left == model.rest()


# None stands for a moment at which the read is cancelled.
cancelled_segments = st.lists(some_bytes | st.none(), max_size=12)


@thorough
@given(cancelled_segments, buffer_sizes, read_lists)
async def test_a_cancelled_read_loses_nothing(
    segments: list[bytes | None], buffer_size: int, operations: list[Read]
) -> None:
    stream = SegmentStream(*segments)
    reader = BufferedReader(stream, buffer_size, max_line_bytes=8, max_read_bytes=8)
    data = b"".join(segment for segment in segments if segment)
    model = Model(io.BytesIO(data), max_line_bytes=8, max_read_bytes=8)

    for operation in operations:
        result = await perform_until_done(operation, reader, stream)

        assert result == operation.model(model), operation

    rest = await perform_until_done(read(len(data) + 1), reader, stream)
    assert rest == model.rest()


async def perform_until_done(
    operation: Read, reader: BufferedReader, stream: SegmentStream
) -> Result:
    """Perform *operation*, again after each time that it is cancelled."""
    while True:
        with trio.CancelScope() as stream.scope:
            return await result_of(operation.perform(reader))


@pytest.mark.parametrize("layer", LAYERS)
@thorough
@given(segments=segment_lists, buffer_size=buffer_sizes, operations=read_lists)
async def test_reads_from_a_socket_what_a_file_reads(
    layer: str, segments: list[bytes], buffer_size: int, operations: list[Read]
) -> None:
    """Each segment comes when the reader waits, and the end together with the last."""
    model = Model(io.BytesIO(b"".join(segments)), 8, 8)
    ours, peer = tcp_pair()
    with peer, trio.fail_after(STUCK):
        async with waiting_by(layer), trio.open_nursery() as nursery:
            with connected((ours, peer)) as (connection, _):
                reader = BufferedReader(
                    connection, buffer_size, max_line_bytes=8, max_read_bytes=8
                )
                nursery.start_soon(send_when_awaited, peer, segments)
                for operation in operations:
                    result = await result_of(operation.perform(reader))

                    assert result == operation.model(model), operation

                assert await reader.read(1000) == model.rest()


async def send_when_awaited(peer: socket.socket, segments: list[bytes]) -> None:
    for segment in segments:
        await trio.testing.wait_all_tasks_blocked()
        peer.send(segment)
    peer.shutdown(socket.SHUT_WR)
