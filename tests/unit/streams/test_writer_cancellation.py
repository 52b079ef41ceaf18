"""`BufferedWriter`: no gap and no repeat, whoever cancels or comes between."""

from __future__ import annotations

from contextlib import suppress

import pytest
import trio
import trio.testing

from kit.serving import STUCK
from trioserver import BufferedWriter, Connection
from trioserver._cancellation import CLEANUP_TIMEOUT
from trioserver._streams.budget import Budget
from unit.streams.pairs import connected, drain, fill, watched

pytestmark = pytest.mark.usefixtures("readiness")


async def write_and_cancel(writer: BufferedWriter, data: bytes) -> None:
    """Write *data* to a peer that does not read, and cancel that while it waits."""
    with trio.fail_after(STUCK):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(writer.write, data)
            await trio.testing.wait_all_tasks_blocked()
            nursery.cancel_scope.cancel()


async def receive_rest(connection: Connection, peer: trio.SocketStream) -> bytes:
    """Close, and return everything that the peer then still receives."""
    connection.close()
    with trio.fail_after(STUCK):
        return b"".join([block async for block in peer])


async def test_what_a_cancelled_write_has_left_goes_first_in_the_next() -> None:
    with connected() as (connection, peer):
        fill(connection.socket)
        writer = BufferedWriter(connection)
        await write_and_cancel(writer, b"one")
        drain(peer)

        await writer.write(b"two")

        assert await receive_rest(connection, peer) == b"onetwo"


async def test_what_a_cancelled_write_has_left_goes_out_with_a_flush() -> None:
    with connected() as (connection, peer):
        fill(connection.socket)
        writer = BufferedWriter(connection)
        await write_and_cancel(writer, b"one")
        drain(peer)

        await writer.flush()

        assert await receive_rest(connection, peer) == b"one"


async def test_a_cancelled_write_goes_on_where_it_was() -> None:
    data = bytes(range(256)) * 400
    with connected() as (connection, peer):
        writer = BufferedWriter(connection)
        await write_and_cancel(writer, data)
        received = bytearray(drain(peer))
        with trio.fail_after(STUCK):
            async with trio.open_nursery() as nursery:
                nursery.start_soon(writer.flush)
                while len(received) < len(data):
                    received += await peer.receive_some()

        assert await receive_rest(connection, peer) == b""

    assert received == data


async def test_a_write_that_was_cancelled_before_it_began_sends_nothing() -> None:
    with connected() as (connection, peer):
        writer = BufferedWriter(connection)

        with trio.CancelScope() as scope:
            scope.cancel()
            await writer.write(b"never")
        await writer.write(b"next")

        assert await receive_rest(connection, peer) == b"next"


class HalfwayStream(trio.abc.SendStream):
    """Sends half of what it is given, and is cancelled there, once."""

    def __init__(self, scope: trio.CancelScope) -> None:
        self.scope = scope
        self.sent = b""

    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        half = len(data) // 2
        self.sent += bytes(data[:half])
        self.scope.cancel()
        await trio.lowlevel.checkpoint()
        self.sent += bytes(data[half:])

    async def wait_send_all_might_not_block(self) -> None:
        """It never would."""

    async def aclose(self) -> None:
        """Nothing to close."""


@pytest.mark.parametrize("buffer_size", [0, 4])
async def test_never_repeats_what_another_stream_may_have_sent(
    buffer_size: int,
) -> None:
    scope = trio.CancelScope()
    stream = HalfwayStream(scope)
    writer = BufferedWriter(stream, buffer_size)
    with scope:
        await writer.write(b"lost")

    await writer.write(b"next")

    assert stream.sent == b"lo" + b"next"


# Closing


async def test_closing_sends_what_it_holds_although_cancelled() -> None:
    with connected() as (connection, peer):
        writer = BufferedWriter(connection, 8)
        await writer.write(b"held")

        with trio.CancelScope() as scope:
            scope.cancel()
            await writer.aclose()

        assert scope.cancelled_caught
        assert await receive_rest(connection, peer) == b"held"


async def test_closing_waits_for_a_slow_peer_although_cancelled() -> None:
    with connected() as (connection, peer):
        fill(connection.socket)
        writer = BufferedWriter(connection, 8)
        await writer.write(b"held")
        async with watched(), trio.open_nursery() as nursery:
            nursery.start_soon(writer.aclose)
            await trio.testing.wait_all_tasks_blocked()
            nursery.cancel_scope.cancel()
            drain(peer)

        assert await receive_rest(connection, peer) == b"held"


async def test_closing_gives_a_cancelled_task_up_after_a_second(
    mock_clock: trio.testing.MockClock,
) -> None:
    with connected() as (connection, _):
        fill(connection.socket)
        writer = BufferedWriter(connection, 8)
        await writer.write(b"held")
        async with trio.open_nursery() as nursery:
            nursery.start_soon(writer.aclose)
            await trio.testing.wait_all_tasks_blocked()
            nursery.cancel_scope.cancel()
            with trio.CancelScope(shield=True):
                await trio.testing.wait_all_tasks_blocked()
            waiting = len(nursery.child_tasks)
            mock_clock.jump(CLEANUP_TIMEOUT)

    assert waiting == 1
    assert writer.closed


async def test_closing_takes_no_longer_than_a_deadline_that_was_known(
    mock_clock: trio.testing.MockClock,
) -> None:
    with connected() as (connection, _):
        fill(connection.socket)
        writer = BufferedWriter(connection, 8)
        await writer.write(b"held")
        async with trio.open_nursery() as nursery:
            nursery.cancel_scope.deadline = CLEANUP_TIMEOUT
            nursery.start_soon(writer.aclose)
            await trio.testing.wait_all_tasks_blocked()
            mock_clock.jump(CLEANUP_TIMEOUT)

    # With a second more, the clock would stand still here, and the test with it.
    assert writer.closed


# Two tasks


async def test_refuses_a_second_task_that_writes() -> None:
    with connected() as (connection, _), trio.fail_after(STUCK):
        fill(connection.socket)
        writer = BufferedWriter(connection)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(writer.write, b"first")
            await trio.testing.wait_all_tasks_blocked()

            with pytest.raises(trio.BusyResourceError, match="another task is writing"):
                await writer.write(b"second")
            nursery.cancel_scope.cancel()


async def test_a_second_task_that_had_to_yield_takes_nothing_from_the_first() -> None:
    """Whichever of two writes is refused, the other one arrives whole."""
    accepted = [b"held"]
    with connected() as (connection, peer), trio.fail_after(STUCK):
        fill(connection.socket)
        budget = Budget()
        writer = BufferedWriter(connection, 8, budget=budget)
        await writer.write(b"held")
        await spend_all_but_one(budget)

        async def write(data: bytes) -> None:
            with suppress(trio.BusyResourceError):
                await writer.write(data)
                accepted.append(data)

        async with trio.open_nursery() as nursery:
            nursery.start_soon(write, b"12345")
            nursery.start_soon(write, b"abcde")
            await trio.testing.wait_all_tasks_blocked()
            drain(peer)

        assert await receive_rest(connection, peer) == b"".join(accepted)


async def spend_all_but_one(budget: Budget) -> None:
    """Leave *budget* so that the next operation yields."""
    while budget.left > 1:
        await budget.spend()


async def test_keeps_what_it_holds_while_another_task_uses_the_connection() -> None:
    """Nothing was sent and nothing was lost: a refused flush can be repeated."""
    with connected() as (connection, peer), trio.fail_after(STUCK):
        fill(connection.socket)
        writer = BufferedWriter(connection, 8)
        await writer.write(b"held")
        async with trio.open_nursery() as nursery:
            nursery.start_soon(connection.send_all, b"direct, ")
            await trio.testing.wait_all_tasks_blocked()
            with pytest.raises(trio.BusyResourceError):
                await writer.flush()
            drain(peer)

        await writer.flush()

        assert await receive_rest(connection, peer) == b"direct, held"


@pytest.mark.parametrize("buffer_size", [0, 4])
async def test_a_write_that_was_refused_can_be_repeated(buffer_size: int) -> None:
    """Refused is refused: it must not arrive as well, or the second try doubles it."""
    with connected() as (connection, peer), trio.fail_after(STUCK):
        fill(connection.socket)
        writer = BufferedWriter(connection, buffer_size)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(connection.send_all, b"direct, ")
            await trio.testing.wait_all_tasks_blocked()
            with pytest.raises(trio.BusyResourceError):
                await writer.write(b"once")
            drain(peer)

        await writer.write(b"once")

        assert await receive_rest(connection, peer) == b"direct, once"


@pytest.mark.parametrize("buffer_size", [0, 8])
async def test_another_task_that_sends_costs_nothing_of_what_was_written(
    buffer_size: int,
) -> None:
    with connected() as (connection, peer):
        filled = fill(connection.socket)
        writer = BufferedWriter(connection, buffer_size)
        if buffer_size:
            await writer.write(b"written")
        else:
            await write_and_cancel(writer, b"written")
        async with trio.open_nursery() as nursery:
            nursery.start_soon(connection.send_all, b"of another")
            await trio.testing.wait_all_tasks_blocked()
            with pytest.raises(trio.BusyResourceError):
                await writer.write(b"refused")
            received = b""
            while len(received) < filled + len(b"of another"):
                received += await peer.receive_some()
        await writer.flush()

        assert await receive_rest(connection, peer) == b"written"
