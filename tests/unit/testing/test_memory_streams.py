"""Connections over sockets in memory are streams as Trio wants them."""

from __future__ import annotations

import socket
from collections.abc import Callable

import pytest
import trio
import trio.testing

from kit.memory import memory_pair
from trioserver import Connection
from trioserver._testing.link import Link
from trioserver._testing.memory_socket import MemorySocket
from trioserver._waiting import wait_readable, wait_writable


async def streams() -> tuple[Connection, Connection]:
    client, server = memory_pair()
    return Connection(client), Connection(server)


async def clogged_streams() -> tuple[Connection, Connection]:
    client, server = memory_pair(link=Link(window_bytes=100))
    client.send(bytes(100))
    server.send(bytes(100))
    return Connection(client), Connection(server)


async def late_streams() -> tuple[Connection, Connection]:
    link = Link(delay=1, segment_bytes=3, bytes_per_second=1000, window_bytes=7)
    client, server = memory_pair(link=link)
    return Connection(client), Connection(server)


async def test_a_connection_in_memory_is_a_stream_of_trios(
    autojump_clock: trio.testing.MockClock,
) -> None:
    await trio.testing.check_half_closeable_stream(streams, clogged_streams)


async def test_so_is_a_late_and_slow_one_in_small_pieces(
    autojump_clock: trio.testing.MockClock,
) -> None:
    client, server = await late_streams()
    data = bytes(range(256)) * 4
    async with client, server, trio.open_nursery() as nursery:
        nursery.start_soon(client.send_all, data)
        received = b""
        while len(received) < len(data):
            received += await server.receive_some()

    assert received == data


async def test_one_task_waits_for_each_direction() -> None:
    client, server = memory_pair(link=Link(window_bytes=1))
    client.send(b"x")
    with client, server:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(wait_readable, client)
            nursery.start_soon(wait_writable, client)
            await trio.testing.wait_all_tasks_blocked()
            with pytest.raises(trio.BusyResourceError, match="read from this socket"):
                await wait_readable(client)
            with pytest.raises(trio.BusyResourceError, match="write to this socket"):
                await wait_writable(client)
            nursery.cancel_scope.cancel()


async def test_closing_wakes_who_waits_for_this_socket_and_not_for_a_duplicate() -> (
    None
):
    client, server = memory_pair()
    duplicate = client.dup()
    async with trio.open_nursery() as nursery:

        @nursery.start_soon
        async def wait_in_vain() -> None:
            with pytest.raises(trio.ClosedResourceError, match="closed this socket"):
                await wait_readable(client)

        nursery.start_soon(wait_readable, duplicate)
        await trio.testing.wait_all_tasks_blocked()
        client.close()
        await trio.testing.wait_all_tasks_blocked()
        server.send(b"x")

    with duplicate, server:
        assert duplicate.recv(1) == b"x"


async def test_a_wait_for_what_is_there_is_a_checkpoint() -> None:
    client, server = memory_pair()
    with client, server, trio.testing.assert_checkpoints():
        await wait_writable(client)


def test_a_socket_that_nobody_closes_warns_and_lets_its_peer_know() -> None:
    client, server = memory_pair()

    with pytest.warns(ResourceWarning, match=r"unclosed <MemorySocket \('127.0.0.1'"):
        del client

    with server:
        assert server.recv(1) == b""


def test_a_socket_in_memory_says_what_it_is_and_was() -> None:
    client, server = memory_pair()
    with server:
        assert repr(client) == "<MemorySocket ('127.0.0.1', 10000)>"
        assert client.getsockname() == server.getpeername() == ("127.0.0.1", 10000)
        assert client.proto == 0
        client.close()
        assert repr(client) == "<MemorySocket closed, ('127.0.0.1', 10000)>"


def test_a_detached_socket_tells_nobody() -> None:
    client, server = memory_pair()
    with client, server:
        number = client.fileno()
        assert client.detach() == number
        assert client.fileno() == client.detach() == -1
        with pytest.raises(BlockingIOError):
            server.recv(1)


def test_options_are_remembered() -> None:
    client, server = memory_pair()
    option = socket.SOL_SOCKET, socket.SO_KEEPALIVE
    with client, server:
        assert client.getsockopt(*option) == 0
        client.setsockopt(*option, 1)
        assert client.getsockopt(*option) == 1
        assert client.getsockopt(*option, 4) == b"\1\0\0\0"
        assert client.getsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF) == 131072
        with pytest.raises(OSError, match="Protocol not available"):
            client.setsockopt(socket.IPPROTO_IP, socket.IP_TTL, 1)


REFUSED: dict[str, Callable[[MemorySocket], object]] = {
    "settimeout": lambda sock: sock.settimeout(1),
    "setblocking": lambda sock: sock.setblocking(True),
    "makefile": lambda sock: sock.makefile("rb"),
    "sendall": lambda sock: sock.sendall(b""),
    "connect": lambda sock: sock.connect(("127.0.0.1", 1)),
    "ssl": lambda sock: sock.getsockopt(socket.SOL_SOCKET, socket.SO_TYPE),
    "credentials": lambda sock: Connection(sock).peer_credentials,
    "descriptors sent": lambda sock: sock.sendmsg([b"x"], [(1, 1, b"")]),
    "descriptors received": lambda sock: sock.recvmsg(1, 100),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_cannot_work_is_refused_with_a_remedy(name: str) -> None:
    client, server = memory_pair(socket.AF_UNIX)
    with client, server, pytest.raises(NotImplementedError, match="MemoryNetwork: "):
        REFUSED[name](client)


def test_what_a_connection_cannot_do_is_the_systems_error() -> None:
    client, server = memory_pair()
    with client, server:
        with pytest.raises(OSError, match="Invalid argument"):
            client.bind(("127.0.0.1", 0))
        with pytest.raises(OSError, match="not supported"):
            client.listen()
