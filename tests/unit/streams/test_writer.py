"""`BufferedWriter`: what is sent, and when."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import trio
import trio.testing

from kit.serving import STUCK
from trioserver import BufferedWriter, ConnectionLostError, RequestTimeoutError
from unit.streams.pairs import connected, drain

pytestmark = pytest.mark.usefixtures("readiness")


class RecordingStream(trio.abc.SendStream):
    """Keeps each piece that it was given to send."""

    def __init__(self) -> None:
        self.sent: list[bytes] = []

    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        await trio.lowlevel.checkpoint()
        self.sent.append(bytes(data))

    async def wait_send_all_might_not_block(self) -> None:
        """It never would."""

    async def aclose(self) -> None:
        """Nothing to close."""


# Without a buffer


async def test_sends_each_write_at_once_by_default() -> None:
    stream = RecordingStream()
    writer = BufferedWriter(stream)

    counts = [await writer.write(b"one"), await writer.write(b"three")]

    assert stream.sent == [b"one", b"three"]
    assert counts == [3, 5]


@pytest.mark.parametrize(
    "data", [bytearray(b"abcd"), memoryview(b"abcd"), memoryview(b"abcd").cast("H")]
)
async def test_writes_any_kind_of_bytes(data: bytearray | memoryview) -> None:
    stream = RecordingStream()

    count = await BufferedWriter(stream).write(data)

    assert stream.sent == [b"abcd"]
    assert count == 4


async def test_sends_nothing_for_an_empty_write() -> None:
    stream = RecordingStream()
    writer = BufferedWriter(stream)

    await writer.write(b"")
    await writer.flush()

    assert stream.sent == []


async def test_writes_lines_one_after_the_other() -> None:
    stream = RecordingStream()

    def lines() -> Iterator[bytes]:
        yield b"one\n"
        yield b"two\n"

    await BufferedWriter(stream).writelines(lines())

    assert b"".join(stream.sent) == b"one\ntwo\n"


# With a buffer


async def test_gathers_writes_until_its_buffer_is_full() -> None:
    stream = RecordingStream()
    writer = BufferedWriter(stream, 8)

    await writer.write(b"1234")
    before = list(stream.sent)
    await writer.write(b"5678")

    assert before == []
    assert stream.sent == [b"12345678"]


async def test_sends_what_it_holds_on_a_flush() -> None:
    stream = RecordingStream()
    writer = BufferedWriter(stream, 8)

    await writer.write(b"1234")
    await writer.flush()

    assert stream.sent == [b"1234"]


async def test_does_not_copy_what_would_fill_its_buffer_at_once() -> None:
    stream = RecordingStream()

    await BufferedWriter(stream, 4).write(b"1234")

    assert stream.sent == [b"1234"]


@pytest.mark.parametrize(("size", "sent"), [(8191, 0), (8192, 1)])
async def test_minus_one_gathers_as_much_as_files_do(size: int, sent: int) -> None:
    stream = RecordingStream()

    await BufferedWriter(stream, -1).write(b"x" * size)

    assert len(stream.sent) == sent


# Any stream


async def test_writes_to_a_memory_stream() -> None:
    near, far = trio.testing.memory_stream_pair()

    await BufferedWriter(near).write(b"hello")

    assert await far.receive_some() == b"hello"


async def test_sends_all_to_a_slow_peer() -> None:
    data = bytes(range(256)) * 400
    received = bytearray()
    with connected() as (connection, peer), trio.fail_after(STUCK):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(BufferedWriter(connection).write, data)
            while len(received) < len(data):
                received += await peer.receive_some(1000)

    assert received == data


# Closing


async def test_closing_sends_what_it_holds_and_leaves_the_stream_open() -> None:
    with connected() as (connection, peer):
        writer = BufferedWriter(connection, 8)
        await writer.write(b"held")
        before = writer.closed

        await writer.aclose()

        assert await peer.receive_some() == b"held"
        assert (before, writer.closed) == (False, True)
        assert not connection.is_closed


async def test_closing_at_once_forgets_what_it_holds() -> None:
    stream = RecordingStream()
    writer = BufferedWriter(stream, 8)
    await writer.write(b"held")

    writer.close()
    await writer.aclose()

    assert stream.sent == []


async def test_refuses_to_write_once_closed() -> None:
    writer = BufferedWriter(RecordingStream())
    await writer.aclose()

    with pytest.raises(trio.ClosedResourceError, match="this writer was closed"):
        await writer.write(b"x")


# Errors


async def test_a_lost_connection_is_told_and_what_was_held_is_gone() -> None:
    with connected() as (connection, peer):
        writer = BufferedWriter(connection, 8)
        await writer.write(b"held")
        await peer.aclose()

        with pytest.raises(ConnectionLostError):
            await writer.flush()
        await writer.aclose()


async def test_closes_although_the_last_flush_fails() -> None:
    with connected() as (connection, peer):
        writer = BufferedWriter(connection, 8)
        await writer.write(b"held")
        await peer.aclose()

        with pytest.raises(ConnectionLostError):
            await writer.aclose()

    assert writer.closed


async def test_gives_up_after_its_timeout(
    autojump_clock: trio.testing.MockClock,
) -> None:
    near, _ = trio.testing.lockstep_stream_pair()

    with pytest.raises(RequestTimeoutError, match="sending took longer than 30 s"):
        await BufferedWriter(near, timeout=30).write(b"x")

    assert trio.current_time() == 30


async def test_its_timeout_is_for_the_whole_write(
    autojump_clock: trio.testing.MockClock,
) -> None:
    near, far = trio.testing.lockstep_stream_pair()

    async def receive_slowly() -> None:
        while True:
            await far.receive_some(1)
            await trio.sleep(20)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(receive_slowly)
        with pytest.raises(RequestTimeoutError):
            await BufferedWriter(near, timeout=30).write(b"slow")
        nursery.cancel_scope.cancel()

    assert trio.current_time() == 30


async def test_drops_what_did_not_leave_within_its_timeout() -> None:
    with connected() as (connection, peer):
        # More than fits, so that this goes on to wait, and 0 s are over at once.
        writer = BufferedWriter(connection, timeout=0)
        with pytest.raises(RequestTimeoutError):
            await writer.write(b"-" * 1000000)
        drain(peer)

        await writer.write(b"next")

        assert await peer.receive_some() == b"next"


async def test_a_bytearray_can_be_resized_after_a_timeout() -> None:
    data = bytearray(1000000)
    with connected() as (connection, _):
        with pytest.raises(RequestTimeoutError) as caught:
            await BufferedWriter(connection, timeout=0).write(data)

        # The traceback lives on, and must not keep a view of the data.
        data.clear()

    assert caught.value.__traceback__ is not None
