"""What a network in memory takes, and what it refuses."""

from __future__ import annotations

import socket
import ssl
from collections.abc import Callable
from pathlib import Path

import pytest
import trio
import trio.testing
import trustme

from kit.datagrams import UpperDatagramHandler
from kit.serving import LOOPBACK, UpperHandler
from trioserver import (
    AlreadyServingError,
    BaseServer,
    Connection,
    ForkingTCPServer,
    ServerClosedError,
    TCPServer,
    ThreadingUDPServer,
    UDPServer,
    UnixStreamServer,
)
from trioserver._testing.address_book import AddressBook
from trioserver._testing.end import End
from trioserver._testing.listener_end import ListenerEnd
from trioserver._testing.wires import Wires
from trioserver.testing import (
    LeakError,
    Link,
    MemoryNetwork,
    connect,
    open_datagram_client,
    running,
)


class Hooked(TCPServer):
    """Notes that its hooks are called."""

    def server_bind(self) -> None:
        super().server_bind()
        self.bound_to = self.server_address

    def server_activate(self) -> None:
        self.was_activated = True
        super().server_activate()


def test_a_server_keeps_its_address_and_loses_its_descriptor() -> None:
    server = TCPServer(LOOPBACK, UpperHandler)
    real, address = server.socket, server.server_address

    with MemoryNetwork().adopt(server):
        assert real.fileno() == -1
        assert server.fileno() >= 2**30
        assert server.server_address == server.socket.getsockname() == address


def test_one_that_is_not_bound_is_bound_by_its_hooks() -> None:
    server = Hooked(("", 0), UpperHandler, bind_and_activate=False)

    with MemoryNetwork().adopt(server):
        assert server.was_activated
        assert server.bound_to == server.server_address == ("0.0.0.0", 10000)  # noqa: S104


def test_two_servers_have_two_addresses() -> None:
    network = MemoryNetwork()
    one = TCPServer(("127.0.0.1", 10000), UpperHandler, bind_and_activate=False)
    two = TCPServer(LOOPBACK, UpperHandler, bind_and_activate=False)
    three = TCPServer(LOOPBACK, UpperHandler)
    with network.adopt(one), network.adopt(two):
        assert two.server_address == ("127.0.0.1", 10001)
        three.server_address = ("127.0.0.1", 10001)  # as if the system had given it
        with network.adopt(three):
            assert three.server_address == ("127.0.0.1", 10002)


def test_a_unix_server_leaves_no_file(tmp_path: Path) -> None:
    path = tmp_path / "socket"
    server = UnixStreamServer(path, UpperHandler)
    assert path.exists()
    with MemoryNetwork().adopt(server):
        assert not path.exists()
        assert server.server_address == str(path)

    unbound = UnixStreamServer(path, UpperHandler, bind_and_activate=False)
    with MemoryNetwork().adopt(unbound):
        assert not path.exists()
        assert unbound.server_address == str(path)


def test_what_needs_real_sockets_is_refused() -> None:
    for server in (
        ThreadingUDPServer(LOOPBACK, lambda *_: None),
        ForkingTCPServer(LOOPBACK, UpperHandler),
    ):
        with server, pytest.raises(NotImplementedError, match="on a real socket"):
            MemoryNetwork().adopt(server)


def test_a_listener_that_is_wrapped_for_tls_is_refused() -> None:
    server = TCPServer(LOOPBACK, UpperHandler)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    with server, pytest.raises(NotImplementedError, match=r"trio\.SSLStream"):
        MemoryNetwork().adopt(server)


def test_multicast_is_refused() -> None:
    class Grouped(UDPServer):
        multicast_groups = ("239.255.77.1%lo",)

    server = Grouped(("", 0), UpperDatagramHandler, bind_and_activate=False)
    with server, pytest.raises(NotImplementedError, match="no multicast"):
        MemoryNetwork().adopt(server)


async def test_a_handshake_on_a_socket_ends_the_server_with_the_remedy() -> None:
    class Wrapping(TCPServer):
        async def get_request(self) -> tuple[object, object]:
            connection, address = await super().get_request()
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            with connection.socket:
                return context.wrap_socket(connection.socket), address

    server = MemoryNetwork().adopt(Wrapping(LOOPBACK, UpperHandler))
    with pytest.RaisesGroup(
        pytest.RaisesExc(NotImplementedError, match=r"trio\.SSLStream")
    ):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(server.serve)
            async with await connect(server) as client:
                await client.expect_eof()


async def test_servers_that_serve_or_were_closed_are_refused() -> None:
    network = MemoryNetwork()
    async with running(TCPServer(LOOPBACK, UpperHandler)) as server:
        with pytest.raises(AlreadyServingError):
            network.adopt(server)
    with pytest.raises(ServerClosedError):
        network.adopt(server)
    with pytest.raises(TypeError, match="needs a server with a socket"):
        network.adopt(BaseServer("nowhere", UpperHandler))


async def test_a_client_needs_a_server_of_its_kind() -> None:
    with (
        UDPServer(LOOPBACK, UpperDatagramHandler) as datagrams,
        TCPServer(LOOPBACK, UpperHandler) as streams,
    ):
        with pytest.raises(TypeError, match="needs a server for streams"):
            await connect(datagrams)
        with pytest.raises(TypeError, match="needs a server for datagrams"):
            await open_datagram_client(streams)  # type: ignore[arg-type]  # the mistake
        with pytest.raises(ValueError, match="let a MemoryNetwork adopt the server"):
            await connect(streams, link=Link())


async def test_a_closed_server_refuses_clients() -> None:
    for network in (None, MemoryNetwork()):
        async with running(TCPServer(LOOPBACK, UpperHandler), network) as server:
            pass
        with pytest.raises(ConnectionRefusedError):
            await connect(server)


async def test_a_socket_that_stays_open_is_a_leak() -> None:
    left: list[socket.socket] = []

    async def leak(request: Connection, _address: object, _server: object) -> None:
        left.append(request.socket.dup())

    async def visit() -> None:
        async with running(TCPServer(LOOPBACK, leak), MemoryNetwork()) as server:
            async with await connect(server) as client:
                await client.expect_eof()

    with pytest.raises(LeakError, match="a socket in memory, <MemorySocket"):
        await visit()
    left[0].close()


async def test_tls_works_on_streams(autojump_clock: trio.testing.MockClock) -> None:
    authority = trustme.CA()
    ours, theirs = (
        ssl.create_default_context(purpose)
        for purpose in (ssl.Purpose.CLIENT_AUTH, ssl.Purpose.SERVER_AUTH)
    )
    authority.issue_cert("localhost").configure_cert(ours)
    authority.configure_trust(theirs)

    class Encrypting(TCPServer):
        async def get_request(self) -> tuple[object, object]:
            connection, address = await super().get_request()
            return trio.SSLStream(connection, ours, server_side=True), address

    network = MemoryNetwork(Link(segment_bytes=100, delay=0.1))
    async with running(Encrypting(LOOPBACK, UpperHandler), network) as server:
        async with await connect(server) as client:
            stream = trio.SSLStream(client.stream, theirs, server_hostname="localhost")
            await stream.send_all(b"hello\n")
            assert await stream.receive_some() == b"HELLO\n"
            await stream.aclose()


async def test_a_cancelled_client_leaves_nothing() -> None:
    server = MemoryNetwork(Link(delay=10)).adopt(TCPServer(LOOPBACK, UpperHandler))
    with server, trio.move_on_after(0.01) as scope:
        await connect(server)

    assert scope.cancelled_caught


async def test_the_link_of_a_network_is_that_of_connections_without_their_own() -> None:
    network = MemoryNetwork()
    async with running(TCPServer(LOOPBACK, UpperHandler), network) as server:
        async with (
            await connect(server) as one,
            await connect(server, link=Link(delay=1)) as two,
        ):
            assert network.link == Link()
            network.link = Link(segment_bytes=3)
            assert one.link == Link(segment_bytes=3)
            assert two.link == Link(delay=1)


async def test_a_wait_for_a_client_ends_when_the_server_closes() -> None:
    server = MemoryNetwork().adopt(TCPServer(LOOPBACK, UpperHandler))
    server.socket.listen(0)
    async with await connect(server):
        async with trio.open_nursery() as nursery:

            @nursery.start_soon
            async def refused() -> None:
                with pytest.raises(ConnectionRefusedError):
                    await connect(server)

            await trio.testing.wait_all_tasks_blocked()
            await server.server_close()


def test_what_listens_not_yet_cannot_accept() -> None:
    listener = ListenerEnd(socket.AF_INET, AddressBook(), Wires(Link()))
    with pytest.raises(OSError, match="Invalid argument"):
        listener.accept()
    assert listener.option((socket.SOL_SOCKET, socket.SO_ACCEPTCONN), 0) == 0
    listener.listen(1)
    assert listener.option((socket.SOL_SOCKET, socket.SO_ACCEPTCONN), 0) == 1
    assert listener.option((socket.SOL_SOCKET, socket.SO_KEEPALIVE), 0) == 0


def test_an_end_of_no_kind_can_do_nothing() -> None:
    end = End(socket.AF_INET, socket.SOCK_STREAM)
    calls: list[Callable[[], object]] = [
        end.accept,
        end.peer_address,
        lambda: end.bind(()),
        lambda: end.listen(1),
        lambda: end.shutdown(1),
        lambda: end.send(memoryview(b""), None, ()),
        lambda: end.receive(1, is_peek=False),
    ]
    for call in calls:
        with pytest.raises(OSError):  # noqa: PT011  # what is said is the system's
            call()
    assert [end.is_readable, end.is_writable, end.is_hung_up] == [False] * 3
