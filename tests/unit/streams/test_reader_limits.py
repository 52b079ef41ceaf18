"""`BufferedReader`: reads whose length the peer decides have a limit."""

from __future__ import annotations

import math
from collections.abc import Awaitable, Callable

import pytest

from trioserver import BufferedReader, LimitOverrunError
from trioserver._streams.reader import MAX_LINE_BYTES, MAX_READ_BYTES
from unit.streams.segments import SegmentStream

# Each of them, over the same eight bytes, with a limit of the parameter.
Read = Callable[[BufferedReader, int], Awaitable[bytes]]


async def next_line(reader: BufferedReader, limit: int) -> bytes:
    reader.max_line_bytes = limit
    return await anext(reader)


async def readline(reader: BufferedReader, limit: int) -> bytes:
    reader.max_line_bytes = limit
    return await reader.readline()


async def readuntil(reader: BufferedReader, limit: int) -> bytes:
    reader.max_line_bytes = limit
    return await reader.readuntil(b"7\n")


async def readuntil_limit(reader: BufferedReader, limit: int) -> bytes:
    return await reader.readuntil(b"\n", limit)


async def read(reader: BufferedReader, limit: int) -> bytes:
    reader.max_read_bytes = limit
    return await reader.read()


@pytest.mark.parametrize("buffer_size", [-1, 0, 1, 7])
@pytest.mark.parametrize(
    "operation", [next_line, readline, readuntil, readuntil_limit, read]
)
async def test_reads_what_is_just_as_long_as_its_limit(
    operation: Read, buffer_size: int
) -> None:
    reader = BufferedReader(SegmentStream(b"123", b"4567\n"), buffer_size)

    assert await operation(reader, 8) == b"1234567\n"


@pytest.mark.parametrize("buffer_size", [-1, 0, 1, 7])
@pytest.mark.parametrize(
    "operation", [next_line, readline, readuntil, readuntil_limit, read]
)
async def test_refuses_a_byte_more_than_its_limit_and_keeps_all(
    operation: Read, buffer_size: int
) -> None:
    reader = BufferedReader(SegmentStream(b"123", b"4567\n"), buffer_size)

    with pytest.raises(LimitOverrunError) as caught:
        await operation(reader, 7)

    assert isinstance(caught.value, ValueError)
    assert caught.value.limit_bytes == 7
    assert caught.value.read_bytes == 8
    assert await reader.readexactly(8) == b"1234567\n"


async def test_reads_on_after_an_overrun_with_a_higher_limit() -> None:
    reader = BufferedReader(SegmentStream(b"too long\n"), max_line_bytes=3)
    with pytest.raises(LimitOverrunError):
        await reader.readline()

    reader.max_line_bytes = math.inf

    assert await reader.readline() == b"too long\n"


async def test_a_last_line_without_its_end_is_limited_too() -> None:
    reader = BufferedReader(SegmentStream(b"1234"), max_line_bytes=3)

    with pytest.raises(LimitOverrunError):
        await reader.readline()


async def test_a_record_of_no_limit_may_be_of_any_length() -> None:
    reader = BufferedReader(SegmentStream(b"x" * 100 + b";"), max_line_bytes=3)

    record = await reader.readuntil(b";", math.inf)

    assert len(record) == 101


async def test_readline_with_a_limit_of_its_own_has_no_other() -> None:
    reader = BufferedReader(SegmentStream(b"12345\n"), max_line_bytes=3)

    assert await reader.readline(100) == b"12345\n"


async def test_a_line_is_limited_by_default() -> None:
    longest = b"x" * (MAX_LINE_BYTES - 1) + b"\n"
    reader = BufferedReader(SegmentStream(longest, b"x", longest))

    first = await reader.readline()
    with pytest.raises(LimitOverrunError):
        await reader.readline()

    assert first == longest


async def test_reading_to_the_end_is_limited_by_default() -> None:
    most = b"x" * MAX_READ_BYTES

    assert len(await BufferedReader(SegmentStream(most)).read()) == MAX_READ_BYTES
    with pytest.raises(LimitOverrunError):
        await BufferedReader(SegmentStream(most, b"x")).read()


async def test_its_error_says_how_to_allow_a_longer_line() -> None:
    reader = BufferedReader(SegmentStream(b"12345"), max_line_bytes=3)

    with pytest.raises(LimitOverrunError) as caught:
        await reader.readline()

    assert str(caught.value) == (
        "a line is too long: raise max_line_bytes to allow it "
        "(limit 3 bytes; 5 bytes were read and are kept)"
    )


async def test_its_error_says_which_separator_has_not_come() -> None:
    reader = BufferedReader(SegmentStream(b"12345"), max_line_bytes=3)

    with pytest.raises(LimitOverrunError) as caught:
        await reader.readuntil(b";")

    assert caught.value.what == (
        "no b';' came in time: raise max_line_bytes to allow it"
    )


async def test_its_error_says_how_to_read_more_than_allowed() -> None:
    reader = BufferedReader(SegmentStream(b"12345"), max_read_bytes=3)

    with pytest.raises(LimitOverrunError) as caught:
        await reader.read()

    assert caught.value.what == (
        "there is more to read than allowed: raise max_read_bytes, or read blocks"
    )
