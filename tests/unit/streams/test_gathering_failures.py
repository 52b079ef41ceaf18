"""What is kept for a moment and cannot leave: it is told, and nothing follows."""

from __future__ import annotations

import errno
import os
import socket
from typing import ClassVar

import pytest
import trio
import trio.testing

from kit.serving import STUCK, reset_on_close
from trioserver import (
    BufferedReader,
    BufferedWriter,
    Connection,
    ConnectionLostError,
    RequestTimeoutError,
)
from trioserver._streams.edge_poller import EdgePoller
from trioserver._streams.gathering import MAX_GATHERED_BYTES
from trioserver._streams.lingering_close import half_close_and_linger
from unit.streams.edges import linked, polling, receiving, register, waiting
from unit.streams.pairs import PLENTY_BYTES, SMALL_BYTES, fill, socket_pair, tcp_pair


class OddSocket(socket.socket):
    """Fails to send while it shall, and notes whether Ctrl-C could strike then."""

    __slots__ = ()
    failures: ClassVar[list[OSError]] = []
    protected: ClassVar[list[bool]] = []
    sizes: ClassVar[list[int]] = []

    def send(self, data: bytes | bytearray | memoryview, flags: int = 0, /) -> int:  # type: ignore[override]  # what is sent here
        self.sizes.append(len(data))
        self.protected.append(trio.lowlevel.currently_ki_protected())
        if self.failures:
            raise self.failures.pop()
        return super().send(data, flags)


def vanish(peer: socket.socket) -> None:
    """Let *peer* reset its connection."""
    reset_on_close(peer)
    peer.close()


async def test_a_handler_that_reads_no_more_is_told_that_the_peer_vanished() -> None:
    async with polling() as poller:
        with linked(poller) as (connection, peer):
            reader = BufferedReader(connection)
            writer = BufferedWriter(connection, reader=reader)
            peer.sendall(b"subscribe\nnever read\n")
            await reader.readline()
            vanish(peer)
            await writer.write(b"news\n")
            await trio.testing.wait_all_tasks_blocked()

            for _ in range(2):
                with pytest.raises(ConnectionLostError):
                    await writer.write(b"more news\n")


async def test_a_reset_that_a_kept_reply_was_told_of_is_no_end_of_file() -> None:
    async with polling() as poller:
        with linked(poller, tcp_pair(SMALL_BYTES)) as (connection, peer):
            fill(connection.socket)
            assert connection.send_soon(b"kept")
            async with waiting(receiving(connection)) as results:
                vanish(peer)

    assert isinstance(results[0], ConnectionLostError)


async def test_an_end_of_file_before_a_reset_is_one() -> None:
    async with polling() as poller:
        with linked(poller) as (connection, peer):
            await register(connection, peer)
            peer.shutdown(socket.SHUT_WR)
            await trio.testing.wait_all_tasks_blocked()
            vanish(peer)
            assert connection.send_soon(b"kept")
            await trio.testing.wait_all_tasks_blocked()

            assert await connection.receive(100) == b""


async def test_nothing_comes_after_what_failed_to_leave() -> None:
    OddSocket.failures[:] = [OSError(errno.ENOBUFS, "no room")]
    async with polling() as poller:
        with linked(poller) as (connection, peer):
            connection.socket.__class__ = OddSocket
            assert connection.send_soon(b"first")
            await trio.testing.wait_all_tasks_blocked()

            with pytest.raises(ConnectionLostError, match="no room"):
                await connection.send_all(b"second")
            peer.setblocking(False)
            with pytest.raises(BlockingIOError):
                peer.recv(100)


async def test_ctrl_c_does_not_let_it_leave_twice() -> None:
    OddSocket.protected.clear()
    async with polling() as poller:
        with linked(poller) as (connection, _):
            connection.socket.__class__ = OddSocket
            assert connection.send_soon(b"first")
            await connection.send_some(b"second")

    assert OddSocket.protected == [True]


async def test_what_is_large_is_not_copied_behind_it() -> None:
    OddSocket.sizes.clear()
    async with polling() as poller:
        with linked(poller) as (connection, _):
            connection.socket.__class__ = OddSocket
            assert connection.send_soon(b"first")
            await connection.send_some(bytes(PLENTY_BYTES))

    assert OddSocket.sizes == [len(b"first") + MAX_GATHERED_BYTES]


@pytest.mark.parametrize("has_kept_before", [False, True])
async def test_nothing_is_kept_for_a_connection_that_was_closed(
    *, has_kept_before: bool
) -> None:
    async with polling() as poller:
        with linked(poller) as (connection, _):
            if has_kept_before:
                assert connection.send_soon(b"early")
                await connection.flush()
            connection.close()

            with pytest.raises(trio.ClosedResourceError):
                connection.send_soon(b"late")


async def test_a_closed_connection_holds_nothing_that_finish_would_send() -> None:
    async with polling() as poller:
        with linked(poller, socket_pair()) as (connection, _):
            fill(connection.socket)
            assert connection.send_soon(b"kept")
            await trio.testing.wait_all_tasks_blocked()
            await connection.aclose()

            await BufferedWriter(connection).aclose()


async def test_what_did_not_leave_in_time_is_gone() -> None:
    async with polling() as poller:
        with linked(poller, socket_pair()) as (connection, _):
            fill(connection.socket)
            writer = BufferedWriter(connection, timeout=0)
            assert connection.send_soon(b"kept")
            with pytest.raises(RequestTimeoutError):
                await writer.write(b"sent")

            # With nothing left, this does not wait for another time-out.
            await writer.aclose()


async def test_nothing_is_kept_where_nobody_could_tell_when_there_is_room(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async with polling() as poller:
        with linked(poller) as (connection, _):
            monkeypatch.setattr(EdgePoller, "register", lambda *_: False)

            assert not connection.send_soon(b"first")


@pytest.mark.parametrize("has_received_eof", [False, True])
async def test_a_request_ends_with_what_was_kept(*, has_received_eof: bool) -> None:
    async with polling() as poller:
        with linked(poller, socket_pair()) as (connection, peer):
            if has_received_eof:
                peer.shutdown(socket.SHUT_WR)
                assert await connection.receive(1) == b""
            fill(connection.socket)
            assert connection.send_soon(b"last words")
            async with trio.open_nursery() as nursery:
                nursery.start_soon(end, connection)
                received = await receive_to_end(peer)

    assert received.endswith(b"-last words")


async def end(connection: Connection) -> None:
    """End a request, as a server does."""
    await half_close_and_linger(connection)
    connection.close()


async def receive_to_end(peer: socket.socket) -> bytes:
    stream = trio.SocketStream(trio.socket.from_stdlib_socket(peer.dup()))
    with trio.fail_after(STUCK):
        async with stream:
            await trio.testing.wait_all_tasks_blocked()
            received = b"".join([data async for data in stream])
            peer.shutdown(socket.SHUT_RDWR)
            return received


async def test_room_in_a_socket_that_somebody_closed_harms_nobody() -> None:
    async with polling() as poller:
        with linked(poller, socket_pair()) as (connection, peer):
            fill(connection.socket)
            assert connection.send_soon(b"kept")
            await trio.testing.wait_all_tasks_blocked()
            # Somebody else has it open, and so the epoll does not forget it.
            duplicate = os.dup(connection.socket.fileno())
            connection.socket.close()
            try:
                peer.recv(1048576)
                await trio.testing.wait_all_tasks_blocked()
            finally:
                os.close(duplicate)
