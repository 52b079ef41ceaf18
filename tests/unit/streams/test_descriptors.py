"""Passing open files over a connection."""

from __future__ import annotations

import contextlib
import errno
import os
import socket
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

import pytest
import trio
import trio.testing

from kit.serving import STUCK, receive_all
from trioserver import Connection, ConnectionLostError, DescriptorsLostError
from trioserver._streams import descriptors
from unit.streams.pairs import PLENTY_BYTES, connected, tcp_pair

pytestmark = pytest.mark.usefixtures("readiness")


@pytest.fixture
def file(tmp_path: Path) -> Iterator[BinaryIO]:
    path = tmp_path / "file"
    path.write_bytes(b"content")
    with path.open("rb") as file:
        yield file


def content_of(descriptor: int) -> bytes:
    """Read a file from its beginning, and close the descriptor."""
    try:
        return os.pread(descriptor, 100, 0)
    finally:
        os.close(descriptor)


# Sending


async def test_sends_descriptors_and_whatever_has_one(file: BinaryIO) -> None:
    with connected() as (connection, peer):
        await connection.send_fds(b"two", [file, file.fileno()])
        data, files, *_ = socket.recv_fds(_plain(peer), 100, 9)

    assert data == b"two"
    assert [content_of(descriptor) for descriptor in files] == [b"content"] * 2
    assert not file.closed


def _plain(peer: trio.SocketStream) -> socket.socket:
    """Return a socket that blocks no test: what is received has been sent."""
    sock: socket.socket = peer.socket._sock  # type: ignore[attr-defined]  # Trio's wrapper has no recvmsg with descriptors
    return sock


async def test_sends_all_of_the_data(file: BinaryIO) -> None:
    data = bytes(PLENTY_BYTES)
    received: list[bytes] = []
    with trio.fail_after(STUCK), connected() as (connection, peer):

        async def receive() -> None:
            first, files, *_ = socket.recv_fds(_plain(peer), 100, 9)
            received.extend((first, content_of(files[0])))
            received.append(await receive_all(peer))

        async with trio.open_nursery() as nursery:
            nursery.start_soon(connection.send_fds, data, [file])
            await trio.testing.wait_all_tasks_blocked()
            nursery.start_soon(receive)
            await trio.testing.wait_all_tasks_blocked()
            await connection.send_eof()

    assert received[1] == b"content"
    assert received[0] + received[2] == data


async def test_waits_for_room_to_send_descriptors(file: BinaryIO) -> None:
    with trio.fail_after(STUCK), connected() as (connection, peer):
        with contextlib.suppress(BlockingIOError):
            while True:
                connection.socket.send(bytes(1000))
        async with trio.open_nursery() as nursery:
            nursery.start_soon(connection.send_fds, b"!", [file])
            await trio.testing.wait_all_tasks_blocked()
            with pytest.raises(trio.BusyResourceError):
                await connection.send_fds(b"?", [file])
            received = b""
            while not received.endswith(b"!"):
                received += await peer.receive_some()


@pytest.mark.parametrize(
    ("data", "files", "complaint"),
    [
        (b"", [0], "send at least one byte"),
        (b"x", [], "1 to 253 descriptors"),
        (b"x", [0] * 254, "1 to 253 descriptors"),
    ],
)
async def test_refuses_to_send_what_cannot_be_sent(
    data: bytes, files: list[int], complaint: str
) -> None:
    with connected() as (connection, _peer):
        with pytest.raises(ValueError, match=complaint):
            await connection.send_fds(data, files)


async def test_a_descriptor_that_is_not_open_does_not_break_the_connection() -> None:
    with trio.fail_after(STUCK), connected() as (connection, peer):
        with pytest.raises(OSError, match="Bad file descriptor") as caught:
            await connection.send_fds(b"x", [1_000_000])
        await connection.send_all(b"still here")

        assert await peer.receive_some() == b"still here"
    assert caught.value.errno == errno.EBADF
    assert not isinstance(caught.value, trio.ClosedResourceError)


async def test_says_that_the_peer_has_vanished_while_sending(file: BinaryIO) -> None:
    with connected() as (connection, peer):
        peer.socket.close()
        with pytest.raises(ConnectionLostError):
            await connection.send_fds(b"x", [file])


# Receiving


async def test_receives_descriptors_that_no_program_inherits(file: BinaryIO) -> None:
    with trio.fail_after(STUCK), connected() as (connection, peer):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(_send_later, peer, file)
            data, files = await connection.receive_fds(100, 2)
        inheritable = [os.get_inheritable(descriptor) for descriptor in files]

    assert data == b"two"
    assert inheritable == [False, False]
    assert [content_of(descriptor) for descriptor in files] == [b"content"] * 2


async def _send_later(peer: trio.SocketStream, file: BinaryIO) -> None:
    await trio.testing.wait_all_tasks_blocked()
    socket.send_fds(_plain(peer), [b"two"], [file.fileno()] * 2)


async def test_receives_data_without_descriptors_and_the_end() -> None:
    with trio.fail_after(STUCK), connected() as (connection, peer):
        await peer.send_all(b"none")
        assert await connection.receive_fds(100, 1) == (b"none", [])
        await peer.send_eof()
        assert await connection.receive_fds(100, 1) == (b"", [])


@pytest.mark.parametrize(("sent", "asked_for"), [(2, 1), (3, 2), (200, 1)])
async def test_closes_all_of_them_if_more_come_than_were_asked_for(
    file: BinaryIO, sent: int, asked_for: int
) -> None:
    """The fixture that looks for leaks sees the others."""
    with trio.fail_after(STUCK), connected() as (connection, peer):
        socket.send_fds(_plain(peer), [b"data"], [file.fileno()] * sent)
        with pytest.raises(DescriptorsLostError, match="more descriptors") as caught:
            await connection.receive_fds(100, asked_for)

        assert caught.value.data == b"data"
        assert caught.value.max_fds == asked_for
        await peer.send_all(b"next")
        assert await connection.receive_fds(100, asked_for) == (b"next", [])


async def test_descriptors_that_nobody_asked_for_are_closed(file: BinaryIO) -> None:
    with trio.fail_after(STUCK), connected() as (connection, peer):
        socket.send_fds(_plain(peer), [b"data"], [file.fileno()] * 3)

        assert await connection.receive_some() == b"data"


async def test_a_cancelled_receive_has_received_nothing(file: BinaryIO) -> None:
    with trio.fail_after(STUCK), connected() as (connection, peer):
        with trio.CancelScope() as scope:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(connection.receive_fds, 100, 1)
                await trio.testing.wait_all_tasks_blocked()
                with pytest.raises(trio.BusyResourceError):
                    await connection.receive_fds(100, 1)
                # They are there, and the task is cancelled before it runs.
                socket.send_fds(_plain(peer), [b"data"], [file.fileno()])
                scope.cancel()
        data, (descriptor,) = await connection.receive_fds(100, 1)

    assert scope.cancelled_caught
    assert data == b"data"
    assert content_of(descriptor) == b"content"


@pytest.mark.parametrize(("max_bytes", "max_fds"), [(0, 1), (1, 0)])
async def test_refuses_to_receive_nothing(max_bytes: int, max_fds: int) -> None:
    with connected() as (connection, _peer):
        with pytest.raises(ValueError, match="must be 1 or more"):
            await connection.receive_fds(max_bytes, max_fds)


async def test_says_that_the_peer_has_vanished_while_receiving() -> None:
    with trio.fail_after(STUCK), connected() as (connection, peer):
        await connection.send_all(b"unread")
        peer.socket.close()
        with pytest.raises(ConnectionLostError):
            await connection.receive_fds(100, 1)


def test_takes_only_whole_descriptors_from_what_has_come() -> None:
    """A receiver that wants to know its peers gets their credentials beside."""
    items = [
        (socket.SOL_SOCKET, socket.SCM_CREDENTIALS, bytes(12)),
        (socket.SOL_SOCKET, socket.SCM_RIGHTS, struct.pack("ii", 7, 8) + b"ha"),
    ]

    assert descriptors._unpacked(items) == [7, 8]


# Elsewhere


async def test_a_closed_connection_passes_nothing(file: BinaryIO) -> None:
    with connected() as (connection, _peer):
        connection.close()
        with pytest.raises(trio.ClosedResourceError):
            await connection.send_fds(b"x", [file])
        with pytest.raises(trio.ClosedResourceError):
            await connection.receive_fds(1, 1)
        with pytest.raises(trio.ClosedResourceError):
            _ = connection.peer_credentials


async def test_tcp_passes_nothing_and_says_so(file: BinaryIO) -> None:
    """The kernel would send the data and drop the descriptors in silence."""
    with connected(tcp_pair()) as (connection, _peer):
        with pytest.raises(OSError, match="only a Unix socket passes descriptors"):
            await connection.send_fds(b"x", [file])
        with pytest.raises(OSError, match="only a Unix socket passes descriptors"):
            await connection.receive_fds(1, 1)


async def test_tcp_has_no_peer_credentials() -> None:
    """The kernel would answer with the user 4294967295."""
    with connected(tcp_pair()) as (connection, _peer):
        with pytest.raises(OSError, match="only a Unix socket has peer credentials"):
            _ = connection.peer_credentials


async def test_a_pair_knows_its_own_process() -> None:
    with connected() as (connection, _peer):
        credentials = connection.peer_credentials

    assert isinstance(connection, Connection)
    assert credentials.pid == os.getpid()
    assert credentials.uid == os.geteuid()
    assert credentials.gid == os.getegid()
