"""Half-close and linger: the whole reply arrives, and nobody waits for ever."""

from __future__ import annotations

import math
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial

import pytest
import trio
import trio.testing

from kit.serving import STUCK, eventually, receive_all
from trioserver import Connection
from trioserver._streams.budget import OPERATIONS
from trioserver._streams.delivery import is_acknowledged, is_delivered
from trioserver._streams.lingering_close import (
    _DELIVERY_PAUSE,
    half_close_and_linger,
)
from unit.streams.pairs import (
    SMALL_BYTES,
    connected,
    fill,
    reset,
    tcp_pair,
    watched,
)

pytestmark = pytest.mark.usefixtures("readiness")

REPLY = bytes(range(250)) * 800


@asynccontextmanager
async def lingering(
    connection: Connection,
    *,
    linger_timeout: float = math.inf,
    max_bytes: float = math.inf,
) -> AsyncIterator[trio.Nursery]:
    """Linger beside the block, in no hurry; the end of the block waits for it."""
    async with watched(), trio.open_nursery() as nursery:
        nursery.start_soon(
            partial(
                half_close_and_linger,
                connection,
                linger_timeout=linger_timeout,
                max_bytes=max_bytes,
            )
        )
        await trio.testing.wait_all_tasks_blocked()
        yield nursery


async def test_a_reply_of_200_000_bytes_arrives_whole_despite_unread_input() -> None:
    received: list[bytes] = []

    async def receive(peer: trio.SocketStream) -> None:
        with trio.fail_after(STUCK):
            await peer.send_all(b"nobody reads this" * 100)
            received.append(await receive_all(peer))
            await peer.aclose()

    with connected(tcp_pair(SMALL_BYTES)) as (connection, peer):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(receive, peer)
            await connection.send_all(REPLY)
            async with lingering(connection):
                pass
            connection.close()

    assert b"".join(received) == REPLY


async def test_sends_an_end_of_file_and_ends_at_the_peers() -> None:
    with connected() as (connection, peer):
        async with lingering(connection) as nursery:
            end = await peer.receive_some()
            waiting = len(nursery.child_tasks)
            await peer.send_eof()

    assert (end, waiting) == (b"", 1)


async def test_ends_after_its_timeout(mock_clock: trio.testing.MockClock) -> None:
    with connected() as (connection, _):
        async with lingering(connection, linger_timeout=2) as nursery:
            mock_clock.jump(1.9)
            await trio.testing.wait_all_tasks_blocked()
            waiting = len(nursery.child_tasks)
            mock_clock.jump(0.1)

    assert waiting == 1


async def test_ends_once_it_has_discarded_its_most() -> None:
    with connected() as (connection, peer):
        async with lingering(connection, max_bytes=10) as nursery:
            await peer.send_all(b"123456789")
            await trio.testing.wait_all_tasks_blocked()
            waiting = len(nursery.child_tasks)
            await peer.send_all(b"0")

    assert waiting == 1


async def test_leaves_the_connection_open_for_its_owner() -> None:
    with connected() as (connection, peer):
        await peer.send_eof()

        async with lingering(connection):
            pass

        assert not connection.is_closed


async def test_a_peer_that_has_ended_is_told_whoever_has_the_socket_as_well() -> None:
    with connected() as (connection, peer), trio.fail_after(STUCK):
        await peer.send_eof()
        assert await connection.receive(1) == b""
        # As a process has it that was forked meanwhile.
        with connection.socket.dup():
            await half_close_and_linger(connection)
            connection.close()

            assert await peer.receive_some() == b""


@pytest.mark.parametrize("hurried", [False, True])
async def test_a_peer_that_vanishes_ends_it_without_an_error(hurried: bool) -> None:
    with connected(tcp_pair()) as (connection, peer):
        reset(peer)

        with trio.fail_after(STUCK if hurried else math.inf):
            await half_close_and_linger(connection)


async def test_a_peer_that_resets_meanwhile_ends_it_without_an_error() -> None:
    with connected(tcp_pair()) as (connection, peer):
        async with lingering(connection):
            reset(peer)


async def test_a_connection_that_was_closed_ends_it_without_an_error() -> None:
    with connected() as (connection, _):
        connection.close()

        await half_close_and_linger(connection)


async def test_a_cancellation_ends_it_and_it_can_be_called_again() -> None:
    with connected() as (connection, peer):
        async with lingering(connection) as nursery:
            nursery.cancel_scope.cancel()
        await peer.send_eof()

        with trio.fail_after(STUCK):
            await half_close_and_linger(connection)
            end = await peer.receive_some()

    assert end == b""


# In a hurry


async def test_in_a_hurry_it_ends_once_the_reply_is_delivered() -> None:
    with connected(tcp_pair()) as (connection, peer), trio.fail_after(STUCK):
        await connection.send_all(b"reply")

        await half_close_and_linger(connection, linger_timeout=math.inf)
        connection.close()

        assert await peer.receive_some() == b"reply"
        assert await peer.receive_some() == b""


async def test_in_a_hurry_it_waits_for_nothing_once_the_reply_is_acknowledged() -> None:
    with connected(tcp_pair()) as (connection, peer), trio.fail_after(STUCK):
        await connection.send_all(b"reply")
        await eventually(partial(is_acknowledged, connection.socket))

        with trio.testing.assert_no_checkpoints():
            await half_close_and_linger(connection, linger_timeout=math.inf)
        connection.close()

        assert await peer.receive_some() == b"reply"
        assert await peer.receive_some() == b""


async def test_what_came_before_it_hurries_does_not_reset_the_connection() -> None:
    with connected(tcp_pair()) as (connection, peer), trio.fail_after(STUCK):
        await peer.send_all(b"never read")

        await half_close_and_linger(connection, linger_timeout=math.inf)
        connection.close()

        assert await peer.receive_some() == b""


async def test_in_a_hurry_it_discards_no_more_than_it_may() -> None:
    with connected(tcp_pair()) as (connection, peer), trio.fail_after(STUCK):
        await peer.send_all(b"never read")

        await half_close_and_linger(connection, linger_timeout=math.inf, max_bytes=5)

        assert connection.receive_nowait(100) is None


async def test_in_a_hurry_it_waits_until_the_reply_is_delivered(
    mock_clock: trio.testing.MockClock,
) -> None:
    with connected(tcp_pair(SMALL_BYTES)) as (connection, peer):
        fill(connection.socket)
        async with hurrying(connection) as nursery:
            await let_pauses_pass(mock_clock, 3)
            waiting = len(nursery.child_tasks)
            # From here on it is up to the kernel, in real time.
            mock_clock.rate = 1
            await receive_all(peer)

    assert waiting == 1


async def test_in_a_hurry_it_ends_at_the_peers_end_too() -> None:
    with connected(tcp_pair(SMALL_BYTES)) as (connection, peer), trio.fail_after(STUCK):
        fill(connection.socket)
        await peer.send_eof()

        await half_close_and_linger(connection, linger_timeout=math.inf)

        assert not is_delivered(connection.socket)


async def test_in_a_hurry_it_ends_once_it_has_discarded_its_most_too(
    mock_clock: trio.testing.MockClock,
) -> None:
    with connected(tcp_pair(SMALL_BYTES)) as (connection, peer):
        fill(connection.socket)
        async with hurrying(connection, max_bytes=10) as nursery:
            for _ in range(3):
                await peer.send_all(b"12345")
                await let_pauses_pass(mock_clock, 1)
            ended = not nursery.child_tasks
            nursery.cancel_scope.cancel()

    assert ended


@asynccontextmanager
async def hurrying(
    connection: Connection, *, max_bytes: float = math.inf
) -> AsyncIterator[trio.Nursery]:
    """Linger beside the block, with a deadline ahead; the end of the block waits."""
    with trio.fail_after(STUCK):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(
                partial(
                    half_close_and_linger,
                    connection,
                    linger_timeout=math.inf,
                    max_bytes=max_bytes,
                )
            )
            yield nursery


async def let_pauses_pass(clock: trio.testing.MockClock, number: int) -> None:
    """Go on to where the lingering has looked *number* times for the delivery."""
    for _ in range(number):
        await trio.testing.wait_all_tasks_blocked()
        clock.jump(_DELIVERY_PAUSE)
        await trio.testing.wait_all_tasks_blocked()


async def test_a_peer_that_sends_on_and_on_does_not_hold_up_the_others(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    flood = iter([b"more"] * OPERATIONS * 3)
    with connected(tcp_pair()) as (connection, _), trio.fail_after(STUCK):
        monkeypatch.setattr(Connection, "receive_nowait", lambda *_: next(flood, b""))

        with trio.testing.assert_checkpoints():
            await half_close_and_linger(connection, max_bytes=math.inf, in_demand=True)

    assert next(flood, None) is None


async def test_no_more_is_read_in_a_hurry_than_there_is_room_for() -> None:
    with connected(tcp_pair()) as (connection, peer), trio.fail_after(STUCK):
        await peer.send_all(b"nobody reads this")
        await trio.lowlevel.wait_readable(connection.socket)

        with trio.testing.assert_no_checkpoints():
            await half_close_and_linger(connection, max_bytes=5, in_demand=True)
