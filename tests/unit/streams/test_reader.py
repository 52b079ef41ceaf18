"""`BufferedReader`: what each method returns, and what it takes from the stream."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import pytest
import trio
import trio.testing

from kit.serving import STUCK
from trioserver import BufferedReader, IncompleteReadError, RequestTimeoutError
from unit.streams.pairs import connected
from unit.streams.segments import SegmentStream


def reader_of(*segments: bytes) -> BufferedReader:
    return BufferedReader(SegmentStream(*segments))


async def rest_of(reader: BufferedReader) -> bytes:
    """Return what is left, which shows what a read before has taken."""
    return await reader.read()


# read


async def test_read_joins_segments_up_to_its_size() -> None:
    reader = reader_of(b"ab", b"cd", b"ef")

    assert await reader.read(3) == b"abc"
    assert await rest_of(reader) == b"def"


@pytest.mark.parametrize("size", [-1, -7, None])
async def test_read_without_a_size_goes_to_the_end(size: int | None) -> None:
    reader = reader_of(b"ab", b"cd")

    assert await reader.read(size) == b"abcd"


async def test_read_returns_less_only_at_the_end() -> None:
    reader = reader_of(b"ab")

    assert [await reader.read(3), await reader.read(3)] == [b"ab", b""]


async def test_read_of_nothing_asks_for_nothing() -> None:
    stream = SegmentStream(b"ab")

    assert await BufferedReader(stream).read(0) == b""
    assert stream.asked == []


async def test_never_asks_again_once_the_stream_has_ended() -> None:
    stream = SegmentStream(b"ab")
    reader = BufferedReader(stream)
    await reader.read()
    calls = len(stream.asked)

    ends = [
        await reader.read(),
        await reader.read(1),
        await reader.read1(),
        await reader.readline(),
    ]

    assert ends == [b""] * 4
    assert len(stream.asked) == calls


# read1


async def test_read1_waits_for_one_segment_only() -> None:
    reader = reader_of(b"ab", b"cd")

    assert [await reader.read1(), await reader.read1(100)] == [b"ab", b"cd"]


async def test_read1_prefers_what_it_has_to_waiting() -> None:
    reader = reader_of(b"a\nbc", b"d")
    await reader.readline()

    assert [await reader.read1(1), await reader.read1(5)] == [b"b", b"c"]


async def test_read1_of_nothing_asks_for_nothing() -> None:
    stream = SegmentStream(b"ab")

    assert await BufferedReader(stream).read1(0) == b""
    assert stream.asked == []


# readline and iteration


async def test_readline_finds_its_line_in_any_number_of_segments() -> None:
    reader = reader_of(b"o", b"ne\ntw", b"o\n", b"three")

    lines = [await reader.readline() for _ in range(4)]

    assert lines == [b"one\n", b"two\n", b"three", b""]


async def test_readline_stops_at_its_limit_in_the_middle_of_a_line() -> None:
    reader = reader_of(b"on", b"e\n")

    lines = [await reader.readline(2), await reader.readline(2)]

    assert lines == [b"on", b"e\n"]


async def test_readline_of_nothing_asks_for_nothing() -> None:
    stream = SegmentStream(b"ab\n")

    assert await BufferedReader(stream).readline(0) == b""
    assert stream.asked == []


async def test_readline_without_a_limit_reads_the_last_line_whole() -> None:
    reader = reader_of(b"no end")

    assert await reader.readline(float("inf")) == b"no end"


async def test_readline_with_none_reads_a_line() -> None:
    reader = reader_of(b"one\ntwo\n")

    assert await reader.readline(None) == b"one\n"


async def test_iterates_over_lines() -> None:
    lines = [line async for line in reader_of(b"one\nt", b"wo\n\nlast")]

    assert lines == [b"one\n", b"two\n", b"\n", b"last"]


# readuntil and readexactly


async def test_readuntil_finds_a_separator_that_was_split() -> None:
    reader = reader_of(b"head\r", b"\n\r", b"\nbody")

    assert await reader.readuntil(b"\r\n\r\n") == b"head\r\n\r\n"
    assert await rest_of(reader) == b"body"


async def test_readuntil_reads_lines_by_default() -> None:
    reader = reader_of(b"one\ntwo")

    assert await reader.readuntil() == b"one\n"


async def test_readuntil_hands_over_what_came_before_the_end() -> None:
    reader = reader_of(b"no end")

    with pytest.raises(IncompleteReadError) as caught:
        await reader.readuntil(b";")

    assert caught.value.partial == b"no end"
    assert isinstance(caught.value, EOFError)
    assert str(caught.value) == (
        "the stream ended after 6 bytes, before the separator b';'"
    )


async def test_readuntil_refuses_an_empty_separator() -> None:
    with pytest.raises(ValueError, match="at least one byte"):
        await reader_of().readuntil(b"")


async def test_readexactly_joins_segments() -> None:
    reader = reader_of(b"a", b"bcd")

    assert await reader.readexactly(3) == b"abc"
    assert await rest_of(reader) == b"d"


async def test_readexactly_hands_over_what_came_before_the_end() -> None:
    reader = reader_of(b"ab")

    with pytest.raises(IncompleteReadError) as caught:
        await reader.readexactly(3)

    assert caught.value.partial == b"ab"
    assert caught.value.wanted == "the 3 bytes that were asked for"


async def test_readexactly_refuses_a_negative_number() -> None:
    with pytest.raises(ValueError, match="cannot read -1 bytes"):
        await reader_of(b"ab").readexactly(-1)


# How much is asked for at once


@pytest.mark.parametrize(("buffer_size", "asked"), [(-1, 65536), (1, 1), (7, 7)])
async def test_asks_for_its_buffer_size(buffer_size: int, asked: int) -> None:
    stream = SegmentStream(b"abc")

    await BufferedReader(stream, buffer_size).read(1)

    assert stream.asked == [asked]


async def test_without_a_buffer_takes_only_the_line_from_the_stream() -> None:
    stream = SegmentStream(b"line\nfor another program")

    line = await BufferedReader(stream, 0).readline()

    assert line == b"line\n"
    assert stream.segments == [b"for another program"]


async def test_without_a_buffer_takes_only_the_record_from_the_stream() -> None:
    stream = SegmentStream(b"re", b"cord--", b"rest")

    record = await BufferedReader(stream, 0).readuntil(b"--")

    assert record == b"record--"
    assert stream.segments == [b"rest"]


async def test_without_a_buffer_takes_only_the_block_from_the_stream() -> None:
    stream = SegmentStream(b"abcdef")
    reader = BufferedReader(stream, 0)

    blocks = [await reader.read(2), await reader.readexactly(1), await reader.read1(1)]

    assert blocks == [b"ab", b"c", b"d"]
    assert stream.segments == [b"ef"]


# Streams, closing, time-outs


async def test_reads_from_a_memory_stream() -> None:
    far, near = trio.testing.memory_stream_pair()
    await far.send_all(b"one\ntwo\n")
    await far.send_eof()

    assert [line async for line in BufferedReader(near)] == [b"one\n", b"two\n"]


@pytest.mark.usefixtures("readiness")
async def test_reads_from_a_connection() -> None:
    with connected() as (connection, peer), trio.fail_after(STUCK):
        await peer.send_all(b"one\ntwo\n")
        await peer.send_eof()

        lines = [line async for line in BufferedReader(connection)]

    assert lines == [b"one\n", b"two\n"]


READS: dict[str, Callable[[BufferedReader], Awaitable[bytes]]] = {
    "read": BufferedReader.read,
    "read1": BufferedReader.read1,
    "readline": BufferedReader.readline,
    "readuntil": BufferedReader.readuntil,
    "readexactly": lambda reader: reader.readexactly(1),
    "iteration": BufferedReader.__anext__,
}
each_read = pytest.mark.parametrize("read", READS.values(), ids=READS.keys())


@each_read
async def test_refuses_to_read_once_closed(
    read: Callable[[BufferedReader], Awaitable[bytes]],
) -> None:
    reader = reader_of(b"ab\n")
    before = reader.closed
    reader.close()

    with pytest.raises(trio.ClosedResourceError, match="this reader was closed"):
        await read(reader)
    assert (before, reader.closed) == (False, True)


@each_read
async def test_refuses_a_second_task_that_reads(
    read: Callable[[BufferedReader], Awaitable[bytes]],
) -> None:
    _, near = trio.testing.memory_stream_pair()
    reader = BufferedReader(near)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(reader.read)
        await trio.testing.wait_all_tasks_blocked()

        with pytest.raises(trio.BusyResourceError, match="another task is reading"):
            await read(reader)
        nursery.cancel_scope.cancel()


async def test_gives_up_after_its_timeout_and_keeps_what_has_come(
    autojump_clock: trio.testing.MockClock,
) -> None:
    far, near = trio.testing.memory_stream_pair()
    reader = BufferedReader(near, timeout=30)
    await far.send_all(b"half a li")

    with pytest.raises(RequestTimeoutError, match="receiving took longer than 30 s"):
        await reader.readline()
    await far.send_all(b"ne\n")

    assert trio.current_time() == 30
    assert await reader.readline() == b"half a line\n"


async def test_its_timeout_is_for_one_wait_and_not_for_the_line(
    autojump_clock: trio.testing.MockClock,
) -> None:
    far, near = trio.testing.memory_stream_pair()
    reader = BufferedReader(near, timeout=30)

    async def send_slowly() -> None:
        for byte in b"slow\n":
            await trio.sleep(20)
            await far.send_all(bytes([byte]))

    async with trio.open_nursery() as nursery:
        nursery.start_soon(send_slowly)
        line = await reader.readline()

    assert line == b"slow\n"
    assert trio.current_time() == 100


async def test_its_timeout_is_an_error_of_trio_and_of_sockets() -> None:
    _, near = trio.testing.memory_stream_pair()

    with pytest.raises(RequestTimeoutError) as caught:
        await BufferedReader(near, timeout=0).read(1)

    assert isinstance(caught.value, trio.TooSlowError)
    assert isinstance(caught.value, TimeoutError)


async def test_a_cancelled_read_is_no_timeout() -> None:
    _, near = trio.testing.memory_stream_pair()

    with trio.CancelScope() as scope:
        scope.cancel()
        await BufferedReader(near, timeout=30).read(1)

    assert scope.cancelled_caught


async def test_a_line_is_whole_although_another_task_reads_meanwhile() -> None:
    """Either the second read is refused, or the first still finds its line."""
    far, near = trio.testing.memory_stream_pair()
    reader = BufferedReader(near)
    lines: list[bytes] = []

    async def read_line() -> None:
        lines.append(await reader.readline())

    with trio.fail_after(STUCK):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(read_line)
            await far.send_all(b"abcd")
            await trio.testing.wait_all_tasks_blocked()
            try:
                taken = await reader.read(3)
            except trio.BusyResourceError:
                taken = b""
            await far.send_all(b"e\nnext line\n")

    assert taken + lines[0] == b"abcde\n"


@pytest.mark.usefixtures("readiness")
async def test_without_a_buffer_a_cancelled_read_leaves_what_is_there_to_others() -> (
    None
):
    with connected() as (connection, peer):
        await peer.send_all(b"for another program")
        with trio.move_on_after(0) as scope:
            await BufferedReader(connection, 0).read(3)

        assert scope.cancelled_caught
        assert await connection.receive_some() == b"for another program"


# Memory


@pytest.mark.parametrize("is_one_segment", [True, False])
async def test_what_was_taken_is_not_held_until_more_comes(
    *, is_one_segment: bool
) -> None:
    body = b"x" * 1_000_000
    segments = [body + b"begun"] if is_one_segment else [body[1:], b"xbegun"]
    reader = reader_of(*segments)

    assert await reader.readexactly(len(body)) == body
    assert len(reader._buffer) == len(b"begun")
    assert await rest_of(reader) == b"begun"
