"""A client for datagrams says what it expected, and what came instead."""

from __future__ import annotations

import socket
from typing import cast

import pytest
import trio
import trio.testing

from kit.datagrams import UpperDatagramHandler
from kit.serving import LOOPBACK
from trioserver import UDPServer, UnixDatagramServer
from trioserver._testing.address_book import AddressBook
from trioserver._testing.datagram_end import DatagramEnd
from trioserver._testing.memory_socket import MemorySocket
from trioserver._testing.wires import Wires
from trioserver.testing import (
    DatagramClient,
    Link,
    MemoryNetwork,
    open_datagram_client,
    running,
)


@pytest.fixture
def server() -> UDPServer:
    """Return one in memory, which need not serve."""
    return UDPServer(LOOPBACK, UpperDatagramHandler)


async def test_a_failure_says_what_came(
    server: UDPServer, autojump_clock: trio.testing.MockClock
) -> None:
    async with (
        running(server, MemoryNetwork()),
        await open_datagram_client(server) as client,
    ):
        await client.send(b"hello")
        with pytest.raises(AssertionError) as failure:
            await client.expect(b"HELP")
        assert str(failure.value) == "expected b'HELP'\n  but there came b'HELLO'"
        with pytest.raises(AssertionError) as failure:
            await client.expect(b"")
        assert str(failure.value) == (
            "expected an empty datagram\n  but there came none for 5 s"
        )
        with pytest.raises(AssertionError, match="but there came none for 5 s"):
            await client.receive()
        assert trio.current_time() == 10
        await client.send(b"hello")
        with pytest.raises(AssertionError, match="no datagram for 1 s"):
            await client.expect_silence(1)


async def test_a_full_queue_of_a_unix_socket_tries_the_patience(
    autojump_clock: trio.testing.MockClock,
) -> None:
    server = MemoryNetwork().adopt(
        UnixDatagramServer("\0full", UpperDatagramHandler, bind_and_activate=False)
    )
    with server:
        async with await open_datagram_client(server) as client:
            for _ in range(11):
                await client.send(b"x")
            with pytest.raises(AssertionError, match="no room for a datagram for 5 s"):
                await client.send(b"x")
            async with trio.open_nursery() as nursery:
                nursery.start_soon(client.send, b"last")
                await trio.testing.wait_all_tasks_blocked()
                server.socket.recv(1)


async def test_a_full_queue_that_is_closed_lets_nobody_wait(
    autojump_clock: trio.testing.MockClock,
) -> None:
    server = MemoryNetwork().adopt(
        UnixDatagramServer("\0full", UpperDatagramHandler, bind_and_activate=False)
    )
    async with await open_datagram_client(server) as client:
        with server:
            for _ in range(11):
                await client.send(b"x")
            async with trio.open_nursery() as nursery:

                @nursery.start_soon
                async def refused() -> None:
                    with pytest.raises(ConnectionRefusedError):
                        await client.send(b"x")

                await trio.testing.wait_all_tasks_blocked()
                await server.server_close()


async def test_a_server_waits_for_room_at_its_client(
    autojump_clock: trio.testing.MockClock,
) -> None:
    server = UnixDatagramServer("\0room", UpperDatagramHandler, False)
    async with running(server, MemoryNetwork()):
        async with await open_datagram_client(server) as client:
            for number in range(20):
                await client.send(b"%d" % number)
                await trio.testing.wait_all_tasks_blocked()
            assert server.requests_in_flight == 20 - 11
            assert {int(await client.receive()) for _ in range(20)} == set(range(20))


async def test_a_client_hears_nobody_else(
    server: UDPServer, autojump_clock: trio.testing.MockClock
) -> None:
    network = MemoryNetwork()
    other = network.adopt(UDPServer(LOOPBACK, UpperDatagramHandler))
    async with running(server, network):
        with other:
            async with await open_datagram_client(server) as client:
                address = cast("tuple[str, int]", client.address)
                other.socket.sendto(b"from a stranger", address)
                await client.expect_silence(1)


async def test_closing_wakes_who_waits(
    server: UDPServer, autojump_clock: trio.testing.MockClock
) -> None:
    async with running(server, MemoryNetwork()):
        client = await open_datagram_client(server)
        async with trio.open_nursery() as nursery:

            @nursery.start_soon
            async def wait() -> None:
                with pytest.raises(trio.ClosedResourceError):
                    await client.receive()

            await trio.testing.wait_all_tasks_blocked()
            client.close()


async def test_a_real_client_has_no_link(server: UDPServer) -> None:
    with server:
        with pytest.raises(ValueError, match="let a MemoryNetwork adopt the server"):
            await open_datagram_client(server, link=Link())
        async with await open_datagram_client(server) as client:
            assert isinstance(client, DatagramClient)
            with pytest.raises(ValueError, match="only connections of"):
                _ = client.downlink


def datagram_socket(book: AddressBook) -> MemorySocket:
    return MemorySocket(DatagramEnd(socket.AF_INET, book, Wires(Link())))


def test_calls_end_as_on_a_real_socket() -> None:
    book = AddressBook()
    with datagram_socket(book) as one, datagram_socket(book) as two:
        assert one.getsockname() == ("0.0.0.0", 0)  # noqa: S104
        with pytest.raises(OSError, match="Destination address required"):
            one.send(b"x")
        with pytest.raises(OSError, match="not connected"):
            one.getpeername()
        one.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
        one.bind(("localhost", 0))
        with pytest.raises(OSError, match="Invalid argument"):
            one.bind(("127.0.0.1", 0))
        with pytest.raises(OSError, match="Address already in use"):
            two.bind(one.getsockname())
        two.bind(("", 0))
        two.sendto(b"abc", 0, one.getsockname())
        assert one.recvfrom(2, socket.MSG_PEEK) == (b"ab", two.getsockname())
        data, items, flags, _ = one.recvmsg(2)
        assert (data, items, flags) == (b"ab", [], socket.MSG_TRUNC)
        assert one.sendto(b"to nobody", ("127.0.0.1", 1)) == 9
        assert one.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) == 0
        with pytest.raises(NotImplementedError, match="descriptors"):
            one.sendmsg([b"x"], [(socket.SOL_SOCKET, 1, b"")], 0, two.getsockname())
