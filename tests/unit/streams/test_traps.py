"""The traps of readiness: each has its tests here, over both layers.

Edges are told once: whoever loses one waits for ever. Nor may anybody be told of what
happened to another connection.

- an end-of-file that arrives with the last data
- a reset
- a half-close
- a send that is cancelled when it was done in part
- two tasks on one direction
- room that nobody has asked for

and, in ``test_traps_of_descriptors.py``:

- a close while somebody waits
- the number of a descriptor that is used again
- a forked child
- thousands of connections that end at once
"""

from __future__ import annotations

import random
import socket
from collections.abc import Awaitable, Callable

import pytest
import trio
import trio.testing

from kit.serving import STUCK, reset_on_close
from trioserver import BufferedWriter, Connection, ConnectionLostError
from unit.streams.edges import receiving, register, waiting
from unit.streams.pairs import PLENTY_BYTES, fill, paired, socket_pair

pytestmark = pytest.mark.usefixtures("readiness")


def numbered(count: int) -> bytes:
    """Return bytes in which a gap or a repeat would show."""
    return b"".join(b"%d," % number for number in range(count))


def vanish(peer: socket.socket) -> None:
    """Close *peer* with a reset."""
    reset_on_close(peer)
    peer.close()


# An end-of-file that arrives with the last data


async def test_an_end_of_file_that_arrives_with_the_last_data() -> None:
    with trio.fail_after(STUCK), paired() as (connection, peer):
        async with waiting(receiving(connection)) as results:
            peer.sendall(b"last")
            peer.shutdown(socket.SHUT_WR)

        ends = [await connection.receive(100) for _ in range(2)]

    assert results == [b"last"]
    assert ends == [b"", b""]


async def test_an_end_of_file_that_was_told_before_the_last_data_is_read() -> None:
    with trio.fail_after(STUCK), paired() as (connection, peer):
        await register(connection, peer)
        peer.sendall(b"last")
        peer.shutdown(socket.SHUT_WR)
        await trio.testing.wait_all_tasks_blocked()

        received = [await connection.receive(100) for _ in range(2)]

    assert received == [b"last", b""]


async def test_an_end_of_file_that_comes_while_the_last_data_is_read() -> None:
    with trio.fail_after(STUCK), paired() as (connection, peer):
        await register(connection, peer)
        peer.sendall(b"last")
        await trio.testing.wait_all_tasks_blocked()
        last = await connection.receive(100)
        peer.shutdown(socket.SHUT_WR)

        end = await connection.receive(100)

    assert (last, end) == (b"last", b"")


# A reset


async def test_a_reset_of_a_connection_that_waits_to_receive() -> None:
    with trio.fail_after(STUCK), paired() as (connection, peer):
        async with waiting(receiving(connection)) as results:
            vanish(peer)

    assert isinstance(results[0], ConnectionLostError)


async def test_a_reset_of_a_connection_that_waits_to_send() -> None:
    with trio.fail_after(STUCK), paired() as (connection, peer):
        await register(connection, peer)
        fill(connection.socket)
        async with waiting(lambda: connection.send_some(b"x")) as results:
            vanish(peer)

    assert isinstance(results[0], ConnectionLostError)


async def test_a_reset_of_a_connection_that_is_idle() -> None:
    with trio.fail_after(STUCK), paired() as (connection, peer):
        await register(connection, peer)
        vanish(peer)
        await trio.testing.wait_all_tasks_blocked()

        with pytest.raises(ConnectionLostError):
            await connection.receive(100)


# A half-close


async def test_a_connection_that_the_peer_has_half_closed_goes_on_sending() -> None:
    data = numbered(100_000)
    with trio.fail_after(STUCK), paired(socket_pair()) as (connection, peer):
        async with waiting(receiving(connection)) as results:
            peer.shutdown(socket.SHUT_WR)
        async with waiting(lambda: connection.send_all(data)):
            # It waits for room again and again.
            received = await trio.to_thread.run_sync(receive_exactly, peer, len(data))

    assert results == [b""]
    assert received == data


def receive_exactly(peer: socket.socket, size: int) -> bytes:
    """Receive so many bytes in a thread, or what comes before the end."""
    peer.settimeout(STUCK)
    with peer.makefile("rb") as file:
        return file.read(size)


async def test_a_connection_that_has_half_closed_goes_on_receiving() -> None:
    with trio.fail_after(STUCK), paired() as (connection, peer):
        await register(connection, peer)
        await connection.send_eof()
        async with waiting(receiving(connection)) as results:
            peer.sendall(b"late")
        async with waiting(receiving(connection)) as ends:
            peer.shutdown(socket.SHUT_WR)

    assert (results, ends) == ([b"late"], [b""])


async def test_both_ends_half_close_at_the_same_time() -> None:
    with trio.fail_after(STUCK), paired() as (connection, peer):
        async with waiting(receiving(connection)) as ends:
            await connection.send_eof()
            peer.shutdown(socket.SHUT_WR)

    assert ends == [b""]


# A send that is cancelled when it was done in part


async def send_counting(connection: Connection, data: bytes, sent: list[int]) -> None:
    while sum(sent) < len(data):
        sent.append(await connection.send_some(data[sum(sent) :]))


async def test_a_send_that_is_cancelled_knows_what_has_left() -> None:
    """Cancelled just when there is room again: sent and told, or neither."""
    data = numbered(20_000)
    random_ = random.Random(5)  # noqa: S311  # no secret
    sent: list[int] = []
    received = b""
    with trio.fail_after(STUCK), paired(socket_pair()) as (connection, peer):
        while sum(sent) < len(data):
            async with trio.open_nursery() as nursery:
                nursery.start_soon(send_counting, connection, data, sent)
                await trio.testing.wait_all_tasks_blocked()
                received += peer.recv(random_.randrange(1, 10_000))
                for _ in range(random_.randrange(4)):
                    await trio.lowlevel.checkpoint()
                nursery.cancel_scope.cancel()
        connection.close()
        received += await trio.to_thread.run_sync(receive_exactly, peer, PLENTY_BYTES)

    assert received == data


async def test_a_write_that_is_cancelled_goes_on_where_it_was() -> None:
    data = numbered(20_000)
    received = b""
    with trio.fail_after(STUCK), paired(socket_pair()) as (connection, peer):
        writer = BufferedWriter(connection)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(writer.write, data)
            await trio.testing.wait_all_tasks_blocked()
            nursery.cancel_scope.cancel()
        while not writer.is_idle:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(writer.flush)
                await trio.testing.wait_all_tasks_blocked()
                received += peer.recv(PLENTY_BYTES)
                await trio.lowlevel.checkpoint()
                nursery.cancel_scope.cancel()
        connection.close()
        received += await trio.to_thread.run_sync(receive_exactly, peer, PLENTY_BYTES)

    assert received == data


# Two tasks on one direction


@pytest.mark.parametrize("of_readiness", [False, True])
async def test_two_tasks_that_receive(*, of_readiness: bool) -> None:
    with trio.fail_after(STUCK), paired() as (connection, peer):
        use = connection._ready.wait_readable if of_readiness else receiving(connection)
        async with waiting(use) as results:
            with pytest.raises(trio.BusyResourceError):
                await use()
            # The first one has noticed nothing.
            await trio.testing.wait_all_tasks_blocked()
            assert results == []
            peer.sendall(b"for the first")

    assert results == [None if of_readiness else b"for the first"]


@pytest.mark.parametrize("of_readiness", [False, True])
async def test_two_tasks_that_send(*, of_readiness: bool) -> None:
    with trio.fail_after(STUCK), paired(socket_pair()) as (connection, peer):
        fill(connection.socket)
        use: Callable[[], Awaitable[object]] = (
            connection._ready.wait_writable
            if of_readiness
            else lambda: connection.send_some(b"x")
        )
        async with waiting(use) as results:
            with pytest.raises(trio.BusyResourceError):
                await use()
            await trio.testing.wait_all_tasks_blocked()
            assert results == []
            peer.recv(PLENTY_BYTES)

    assert results == [None if of_readiness else 1]


# Room that nobody has asked for


class OthersSteps(trio.abc.Instrument):
    """Counts the steps of all tasks but this one."""

    def __init__(self) -> None:
        self.count = 0
        self._here = trio.lowlevel.current_task()

    def before_task_step(self, task: trio.lowlevel.Task) -> None:
        self.count += task is not self._here


async def test_room_wakes_nobody_once_the_send_that_wanted_some_is_done() -> None:
    with trio.fail_after(STUCK), paired(socket_pair()) as (connection, peer):
        fill(connection.socket)
        async with waiting(lambda: connection.send_some(b"x")):
            peer.recv(PLENTY_BYTES)
        fill(connection.socket)
        await trio.testing.wait_all_tasks_blocked()
        steps = OthersSteps()
        trio.lowlevel.add_instrument(steps)

        peer.recv(PLENTY_BYTES)
        await trio.testing.wait_all_tasks_blocked()

        trio.lowlevel.remove_instrument(steps)

    assert steps.count == 0
