"""One epoll for many connections: its edges, and what comes between them."""

from __future__ import annotations

import errno
import logging
import os
import select
import socket
from collections.abc import Awaitable, Callable

import pytest
import trio
import trio.testing

from kit.serving import STUCK, eventually, reset_on_close
from trioserver import Connection, ConnectionLostError
from trioserver._streams.edge_poller import EdgePoller
from trioserver._streams.edge_readiness import EdgeReadiness
from unit.streams.edges import linked, polling, receiving, register, waiting
from unit.streams.pairs import fill, socket_pair, tcp_pair


async def test_receives_what_comes_while_it_waits_and_while_it_does_not() -> None:
    async with polling() as poller:
        with linked(poller) as (connection, peer):
            await register(connection, peer)
            peer.sendall(b"second")
            await trio.testing.wait_all_tasks_blocked()

            second = await connection.receive(100)

    assert second == b"second"


async def test_a_short_read_spares_the_next_one() -> None:
    async with polling() as poller:
        with linked(poller) as (connection, peer):
            readiness = connection._ready
            await register(connection, peer)

            spared = not readiness.is_readable
            peer.sendall(b"second")
            await eventually(lambda: readiness.is_readable)

    assert spared


async def test_a_short_read_of_a_local_socket_says_nothing() -> None:
    async with polling() as poller:
        with linked(poller, socket_pair()) as (connection, peer):
            await register(connection, peer)

            assert connection._ready.is_readable


async def test_an_end_that_comes_with_the_last_data_is_read() -> None:
    async with polling() as poller:
        with linked(poller) as (connection, peer):
            async with waiting(receiving(connection)) as results:
                peer.sendall(b"last")
                peer.shutdown(socket.SHUT_WR)
            ends = [await connection.receive(100) for _ in range(2)]

    assert results == [b"last"]
    assert ends == [b"", b""]


async def test_an_end_that_was_told_before_the_last_read_is_not_waited_for() -> None:
    async with polling() as poller:
        with linked(poller) as (connection, peer):
            await register(connection, peer)
            peer.sendall(b"last")
            peer.shutdown(socket.SHUT_WR)
            readiness = connection._ready
            assert isinstance(readiness, EdgeReadiness)
            await eventually(lambda: readiness._has_ended)

            received = [await connection.receive(100) for _ in range(2)]

    assert received == [b"last", b""]


async def test_a_reset_wakes_who_receives() -> None:
    async with polling() as poller:
        with linked(poller) as (connection, peer):
            async with waiting(receiving(connection)) as results:
                reset_on_close(peer)
                peer.close()

    assert isinstance(results[0], ConnectionLostError)


async def test_sends_all_to_a_peer_that_reads_late() -> None:
    async with polling() as poller:
        with linked(poller, socket_pair()) as (connection, peer):
            await register(connection, peer)
            filled = fill(connection.socket)
            async with waiting(lambda: connection.send_all(b"more")):
                peer.settimeout(0)
                received = 0
                while received < filled + len(b"more"):
                    with trio.CancelScope():
                        await trio.lowlevel.wait_readable(peer)
                    received += len(peer.recv(65536))

    assert received == filled + len(b"more")


async def test_a_cancelled_send_can_be_tried_again() -> None:
    async with polling() as poller:
        with linked(poller, socket_pair()) as (connection, peer):
            await register(connection, peer)
            filled = fill(connection.socket)
            with trio.CancelScope() as scope:
                async with waiting(lambda: connection.send_some(b"x")):
                    scope.cancel()
                    await trio.lowlevel.checkpoint()
            assert len(peer.recv(filled, socket.MSG_WAITALL)) == filled

            sent = await connection.send_some(b"x")

    assert sent == 1


@pytest.mark.parametrize("method", ["wait_readable", "wait_writable"])
async def test_refuses_a_second_task(method: str) -> None:
    async with polling() as poller:
        with linked(poller, socket_pair()) as (connection, _):
            fill(connection.socket)
            wait = getattr(connection._ready, method)
            async with waiting(wait):
                with pytest.raises(trio.BusyResourceError, match="another task waits"):
                    await wait()
                connection.close()


async def test_closing_wakes_who_receives_and_who_sends() -> None:
    async with polling() as poller:
        with linked(poller, socket_pair()) as (connection, _):
            fill(connection.socket)
            async with (
                waiting(receiving(connection)) as received,
                waiting(lambda: connection.send_all(b"x")) as sent,
            ):
                connection.close()

    assert isinstance(received[0], trio.ClosedResourceError)
    assert isinstance(sent[0], trio.ClosedResourceError)


async def test_closing_wakes_who_has_waited_since_before_the_poller_ran() -> None:
    poller = EdgePoller()
    with trio.fail_after(STUCK), linked(poller, socket_pair()) as (connection, _):
        fill(connection.socket)
        async with waiting(receiving(connection)) as received, poller.running():
            async with waiting(lambda: connection.send_all(b"x")) as sent:
                connection.close()

    assert isinstance(received[0], trio.ClosedResourceError)
    assert isinstance(sent[0], trio.ClosedResourceError)


async def test_a_socket_that_somebody_closed_while_it_sends_harms_nobody() -> None:
    async with polling() as poller:
        with linked(poller, socket_pair()) as (connection, _):
            fill(connection.socket)
            with trio.CancelScope() as scope:
                async with waiting(lambda: connection.send_all(b"x")):
                    connection.socket.close()
                    scope.cancel()

            with pytest.raises(trio.ClosedResourceError):
                await connection.send_all(b"x")


async def test_an_event_of_a_closed_socket_wakes_nobody() -> None:
    async with polling() as poller:
        with linked(poller) as (connection, peer):
            await register(connection, peer)
            peer.sendall(b"never read")
            # Before the poller has run: the event is there already.
            connection.close()
            with linked(poller) as (successor, _):
                async with waiting(receiving(successor)) as results:
                    await trio.testing.wait_all_tasks_blocked()
                    found = list(results)
                    successor.close()

    assert found == []


async def test_an_event_of_a_socket_that_nobody_knows_wakes_nobody() -> None:
    async with polling() as poller:
        with linked(poller) as (connection, peer):
            async with waiting(receiving(connection)) as results:
                poller._wake([(connection.socket.fileno() + 1000, select.EPOLLIN)])
                await trio.testing.wait_all_tasks_blocked()
                found = list(results)
                peer.sendall(b"hello")

    assert found == []


async def test_a_descriptor_that_a_child_keeps_open_is_forgotten() -> None:
    async with polling() as poller:
        with linked(poller) as (connection, peer):
            await register(connection, peer)
            number = connection.socket.fileno()
            # As a forked child has it, the system goes on watching the socket.
            with socket.socket(fileno=os.dup(number)) as kept:
                connection.close()
                peer.sendall(b"for the child")
                await trio.testing.wait_all_tasks_blocked()
                data = kept.recv(100)

    assert data == b"for the child"


async def test_many_connections_end_at_once() -> None:
    async with polling() as poller:
        pairs = [tcp_pair() for _ in range(300)]
        connections = [
            Connection(ours, readiness=EdgeReadiness(ours, poller)) for ours, _ in pairs
        ]
        ends: list[bytes] = []

        async def receive(connection: Connection) -> None:
            ends.append(await connection.receive(100))
            connection.close()

        async with trio.open_nursery() as nursery:
            for connection in connections:
                nursery.start_soon(receive, connection)
            await trio.testing.wait_all_tasks_blocked()
            for _, peer in pairs:
                peer.close()

    assert ends == [b""] * 300


async def test_who_still_waits_when_the_poller_ends_waits_on() -> None:
    poller = EdgePoller()
    with trio.fail_after(STUCK), linked(poller, socket_pair()) as (connection, peer):
        filled = fill(connection.socket)
        async with trio.open_nursery() as nursery:
            async with poller.running():
                received = await nursery.start(_collect, connection)
                await trio.testing.wait_all_tasks_blocked()
            await trio.testing.wait_all_tasks_blocked()
            peer.sendall(b"late")
            while filled:
                filled -= len(peer.recv(filled))

    assert received == [b"late", "sent"]


async def _collect(
    connection: Connection, *, task_status: trio.TaskStatus[list[object]]
) -> None:
    """Receive and send at the same time."""
    results: list[object] = []
    task_status.started(results)

    async def send() -> None:
        await connection.send_all(b"x")
        results.append("sent")

    async with trio.open_nursery() as nursery:
        results.append(await _receive_beside(nursery, send, connection))
    results.sort(key=str)


async def _receive_beside(
    nursery: trio.Nursery, send: Callable[[], Awaitable[None]], connection: Connection
) -> bytes:
    nursery.start_soon(send)
    return await connection.receive(100)


async def test_before_the_poller_runs_connections_wait_as_trio_does() -> None:
    with trio.fail_after(STUCK), linked(EdgePoller()) as (connection, peer):
        async with waiting(receiving(connection)) as results:
            peer.sendall(b"hello")

    assert results == [b"hello"]


async def test_without_a_descriptor_for_it_connections_wait_as_trio_does(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def refuse() -> None:
        raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))

    caplog.set_level(logging.DEBUG)
    monkeypatch.setattr(select, "epoll", refuse)
    async with polling() as poller:
        with linked(poller) as (connection, peer):
            async with waiting(receiving(connection)) as results:
                peer.sendall(b"hello")

    assert results == [b"hello"]
    assert "without an epoll" in caplog.text


async def test_a_connection_that_finds_no_room_in_it_waits_as_trio_does(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    class FullEpoll:
        """Has reached fs.epoll.max_user_watches."""

        def __init__(self, epoll: select.epoll) -> None:
            self.fileno = epoll.fileno

        def register(self, _descriptor: int, _events: int) -> None:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    caplog.set_level(logging.DEBUG)
    async with polling() as poller:
        assert poller._epoll is not None
        monkeypatch.setattr(poller, "_epoll", FullEpoll(poller._epoll))
        with linked(poller) as (connection, peer):
            async with waiting(receiving(connection)) as results:
                peer.sendall(b"hello")

    assert results == [b"hello"]
    assert "without the epoll" in caplog.text
