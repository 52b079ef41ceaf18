"""What is kept for a moment, so that it leaves with more: it leaves, and in order."""

from __future__ import annotations

import socket
from collections.abc import Awaitable, Callable

import pytest
import trio
import trio.testing

from kit.serving import STUCK, reset_on_close
from trioserver import BufferedReader, BufferedWriter, Connection, ConnectionLostError
from trioserver._streams.edge_poller import EdgePoller
from trioserver._streams.gathering import MAX_GATHERED_BYTES
from unit.streams.edges import linked, polling, register, waiting
from unit.streams.pairs import connected, drain, fill, socket_pair

Use = Callable[[Connection], Awaitable[object]]


def arrived(peer: socket.socket) -> bytes:
    """Return what has arrived, without waiting for more."""
    try:
        return peer.recv(1048576, socket.MSG_DONTWAIT)
    except BlockingIOError:
        return b""


async def drained(peer: socket.socket, size: int) -> bytes:
    """Return the next *size* bytes, and let others run whenever there is room."""
    received = b""
    while len(received) < size:
        received += arrived(peer)
        await trio.testing.wait_all_tasks_blocked()
    return received


def files(connection: Connection) -> tuple[BufferedReader, BufferedWriter]:
    """Return a reader and a writer that know of each other, as handlers have them."""
    reader = BufferedReader(connection)
    return reader, BufferedWriter(connection, reader=reader)


async def test_replies_leave_together_with_that_to_the_last_request() -> None:
    async with polling() as poller:
        with linked(poller) as (connection, peer):
            reader, writer = files(connection)
            peer.sendall(b"first\nsecond\nthird\n")
            pieces = []
            for _ in range(3):
                await writer.write(await reader.readline())
                pieces.append(arrived(peer))

    assert pieces == [b"", b"", b"first\nsecond\nthird\n"]


async def test_a_reply_leaves_when_its_task_waits_for_something_else() -> None:
    async with polling() as poller:
        with linked(poller) as (connection, peer):
            reader, writer = files(connection)
            peer.sendall(b"first\nsecond\n")
            await writer.write(await reader.readline())

            kept = arrived(peer)
            await trio.testing.wait_all_tasks_blocked()

            assert (kept, arrived(peer)) == (b"", b"first\n")


async def test_a_reply_leaves_before_the_rest_of_the_next_request_comes() -> None:
    async with polling() as poller:
        with linked(poller) as (connection, peer):
            reader, writer = files(connection)
            peer.sendall(b"first\nsec")
            await writer.write(await reader.readline())
            async with waiting(reader.readline) as results:
                assert arrived(peer) == b"first\n"
                peer.sendall(b"ond\n")

    assert results == [b"second\n"]


async def test_flushing_sends_what_was_kept() -> None:
    async with polling() as poller:
        with linked(poller) as (connection, peer):
            reader, writer = files(connection)
            peer.sendall(b"first\nsecond\n")
            await writer.write(await reader.readline())
            await writer.flush()

            assert arrived(peer) == b"first\n"


async def test_flushing_waits_for_room() -> None:
    async with polling() as poller:
        with linked(poller, socket_pair()) as (connection, peer):
            filled = fill(connection.socket)
            assert connection.send_soon(b"more")
            async with waiting(BufferedWriter(connection).flush):
                received = await drained(peer, filled + len(b"more"))

    assert received.endswith(b"-more")


async def test_nothing_is_kept_while_another_task_sends() -> None:
    async with polling() as poller:
        with linked(poller, socket_pair()) as (connection, peer):
            reader, writer = files(connection)
            peer.sendall(b"first\nsecond\n")
            line = await reader.readline()
            fill(connection.socket)
            async with trio.open_nursery() as nursery:
                nursery.start_soon(connection.send_all, b"in the way")
                await trio.testing.wait_all_tasks_blocked()

                with pytest.raises(trio.BusyResourceError):
                    await writer.write(line)
                nursery.cancel_scope.cancel()


async def test_on_another_stream_nothing_is_kept() -> None:
    far, near = trio.testing.memory_stream_pair()
    reader = BufferedReader(near)
    writer = BufferedWriter(near, reader=reader)
    await far.send_all(b"first\nsecond\n")
    await writer.write(await reader.readline())

    assert await far.receive_some() == b"first\n"


async def test_nothing_is_kept_without_a_poller() -> None:
    with connected() as (connection, peer):
        assert not connection.send_soon(b"x")
        assert drain(peer) == b""


async def test_nothing_is_kept_where_no_poller_runs() -> None:
    with linked(EdgePoller()) as (connection, peer):
        reader, writer = files(connection)
        peer.sendall(b"first\nsecond\n")
        await writer.write(await reader.readline())

        assert arrived(peer) == b"first\n"


async def test_no_more_is_kept_than_a_moment_is_worth() -> None:
    async with polling() as poller:
        with linked(poller) as (connection, _):
            assert connection.send_soon(b"x" * MAX_GATHERED_BYTES)
            assert not connection.send_soon(b"x")


@pytest.mark.parametrize(
    "use",
    [
        lambda connection: connection.send_all(b"next"),
        lambda connection: connection.send_some(b"next"),
        lambda connection: connection.send_fds(b"next", [0]),
    ],
    ids=["send_all", "send_some", "send_fds"],
)
async def test_what_is_sent_next_comes_next(use: Use) -> None:
    async with polling() as poller:
        with linked(poller, socket_pair()) as (connection, peer):
            assert connection.send_soon(b"first ")
            await use(connection)

            data = peer.recv(6)
            assert data + arrived(peer) == b"first next"
            assert not connection.holds_output


async def half_close(connection: Connection) -> None:
    connection.half_close()


async def close(connection: Connection) -> None:
    connection.close()


@pytest.mark.parametrize(
    "end", [Connection.send_eof, half_close, Connection.aclose, close]
)
async def test_an_end_comes_after_it(end: Use) -> None:
    async with polling() as poller:
        with linked(poller) as (connection, peer):
            assert connection.send_soon(b"last")
            await end(connection)

            assert peer.recv(100) == b"last"
            assert peer.recv(100) == b""


async def test_what_finds_no_room_leaves_when_there_is_some() -> None:
    async with polling() as poller:
        with linked(poller, socket_pair()) as (connection, peer):
            filled = fill(connection.socket)
            assert connection.send_soon(b"more")
            await trio.testing.wait_all_tasks_blocked()
            assert connection.holds_output

            received = await drained(peer, filled + len(b"more"))

    assert received.endswith(b"-more")


async def test_a_task_that_waits_for_room_sends_it_first() -> None:
    async with polling() as poller:
        with linked(poller, socket_pair()) as (connection, peer):
            await register(connection, peer)
            filled = fill(connection.socket)
            assert connection.send_soon(b"kept, ")
            async with waiting(lambda: connection.send_all(b"sent")):
                received = await drained(peer, filled + len(b"kept, sent"))

    assert received.endswith(b"-kept, sent")


async def test_a_cancelled_wait_for_room_leaves_it_to_leave_by_itself() -> None:
    async with polling() as poller:
        with linked(poller, socket_pair()) as (connection, peer):
            filled = fill(connection.socket)
            assert connection.send_soon(b"kept")
            await trio.testing.wait_all_tasks_blocked()
            with trio.move_on_after(0):
                await connection.send_some(b"cancelled")

            received = await drained(peer, filled + len(b"kept"))

    assert received.endswith(b"-kept")


async def test_a_peer_that_vanished_is_told_with_what_is_sent_next() -> None:
    async with polling() as poller:
        with linked(poller) as (connection, peer):
            reset_on_close(peer)
            peer.close()
            assert connection.send_soon(b"for nobody")
            await trio.testing.wait_all_tasks_blocked()

            with pytest.raises(ConnectionLostError):
                await connection.send_all(b"neither")


async def test_it_leaves_when_the_poller_ends() -> None:
    poller = EdgePoller()
    with trio.fail_after(STUCK), linked(poller) as (connection, peer):
        async with poller.running():
            assert connection.send_soon(b"last words")
        assert arrived(peer) == b"last words"


async def test_what_finds_no_room_when_the_poller_ends_leaves_with_the_next() -> None:
    poller = EdgePoller()
    with trio.fail_after(STUCK), linked(poller, socket_pair()) as (connection, peer):
        async with poller.running():
            filled = fill(connection.socket)
            assert connection.send_soon(b"last ")
        async with waiting(lambda: connection.send_all(b"words")):
            received = await drained(peer, filled + len(b"last words"))

    assert received.endswith(b"-last words")
