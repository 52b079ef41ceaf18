"""What a client sees of a server is the same in memory and over a real network."""

from __future__ import annotations

import socket
from contextlib import AsyncExitStack
from pathlib import Path

import pytest
import trio

from kit.datagrams import CountingServer, UpperDatagramHandler
from kit.serving import LOOPBACK, STUCK, GateServer, UpperHandler, eventually
from trioserver import (
    Connection,
    StreamRequestHandler,
    TCPServer,
    UDPServer,
    UnixDatagramServer,
    UnixStreamServer,
)
from trioserver.testing import (
    DatagramClient,
    MemoryNetwork,
    connect,
    open_datagram_client,
    running,
)


@pytest.fixture(params=["real", "memory"])
def network(request: pytest.FixtureRequest) -> MemoryNetwork | None:
    return MemoryNetwork() if request.param == "memory" else None


@pytest.fixture(params=["inet", "unix"])
def family(request: pytest.FixtureRequest) -> str:
    return str(request.param)


class Unruly(UpperHandler):
    """Answers in upper case, and does what some lines ask for."""

    server: TCPServer

    async def handle(self) -> None:
        async for line in self.rfile:
            if line == b"leave\n":
                await self.wfile.write(b"unread: yours\n")
                return
            if line == b"half-close\n":
                assert isinstance(self.connection, Connection)
                await self.connection.send_eof()
                continue
            if line.startswith(b"large "):
                await self.wfile.write(b"x" * int(line.split()[1]))
                continue
            await self.wfile.write(line.upper())


def stream_server(
    family: str, tmp_path: Path, handler: type[StreamRequestHandler] = Unruly
) -> TCPServer:
    if family == "unix":
        return UnixStreamServer(str(tmp_path / "socket"), handler)
    return TCPServer(LOOPBACK, handler)


async def test_requests_and_the_end(
    network: MemoryNetwork | None, family: str, tmp_path: Path
) -> None:
    async with running(stream_server(family, tmp_path), network) as server:
        async with await connect(server) as client:
            await client.send(b"one\ntwo\nthr")
            await client.expect(b"ONE\nTWO\n")
            await client.send(b"ee")
            await client.send_eof()
            assert await client.receive_all() == b"THREE"


async def test_an_end_that_comes_with_the_last_data(
    network: MemoryNetwork | None, family: str, tmp_path: Path
) -> None:
    async with running(stream_server(family, tmp_path), network) as server:
        async with await connect(server) as client:
            await client.send(b"a\nleave\nunread by the server\n")
            await client.expect(b"A\nunread: yours\n")
            await client.expect_eof()


async def test_a_half_close_by_the_server(
    network: MemoryNetwork | None, family: str, tmp_path: Path
) -> None:
    async with running(stream_server(family, tmp_path), network) as server:
        async with await connect(server) as client:
            await client.send(b"half-close\n")
            await client.expect_eof()
            await client.send_eof()
            await client.expect_eof()


async def test_a_close_with_unread_data_is_a_reset(
    network: MemoryNetwork | None, family: str, tmp_path: Path
) -> None:
    async with running(stream_server(family, tmp_path), network) as server:
        server.RequestHandlerClass = _close_with_unread
        async with await connect(server) as client:
            await client.send(b"close\nunread")
            await client.expect_reset()
            with pytest.raises(trio.BrokenResourceError):
                await client.send(b"x")


async def _close_with_unread(
    request: Connection, _address: object, _server: object
) -> None:
    assert await request.receive_some(6) == b"close\n"
    await request.aclose()


async def test_a_large_reply_and_a_client_that_stops_to_read(
    network: MemoryNetwork | None, family: str, tmp_path: Path
) -> None:
    async with running(stream_server(family, tmp_path), network) as server:
        async with await connect(server) as client:
            await client.send(b"large 8000000\n")
            await client.receive_exactly(1000)
            await trio.testing.wait_all_tasks_blocked(0.01)
            assert server.requests_in_flight == 1
            await client.receive_exactly(7_999_000)
            await client.send(b"on\n")
            await client.expect_line(b"ON\n")


async def test_a_client_that_resets(
    network: MemoryNetwork | None,
) -> None:
    errors: list[BaseException | None] = []

    class Failing(StreamRequestHandler):
        async def handle(self) -> None:
            try:
                await self.rfile.readline()
            except ConnectionResetError as error:
                errors.append(error)

    async with running(TCPServer(LOOPBACK, Failing), network) as server:
        client = await connect(server)
        await eventually(lambda: server.requests_in_flight)
        client.reset()
        await eventually(lambda: not server.requests_in_flight)

    assert len(errors) == 1


async def test_requests_in_flight_end_before_a_shutdown_has(
    network: MemoryNetwork | None,
) -> None:
    async with running(GateServer(), network) as server, AsyncExitStack() as stack:
        clients = [
            await stack.enter_async_context(await connect(server)) for _ in range(3)
        ]
        for client in clients:
            await client.send(b"line\n")
        await server.wait_inside(3)
        await server.shutdown()
        server.gate.set()
        for client in clients:
            await client.expect(b"LINE\n")
            await client.expect_eof()


async def test_a_full_queue_keeps_newcomers_out_and_the_queued_are_served(
    network: MemoryNetwork | None, family: str, tmp_path: Path
) -> None:
    server = stream_server(family, tmp_path)
    server.request_queue_size = 1
    server.max_concurrent_requests = 0
    if network is not None:
        network.adopt(server)
    else:
        server.socket.listen(1)
    with trio.fail_after(STUCK):
        async with trio.open_nursery() as nursery:
            await nursery.start(server.serve)
            clients = [await connect(server) for _ in range(2)]
            with pytest.raises(AssertionError, match="could not connect to"):
                await connect(server, patience=0.05)
            server.max_concurrent_requests = 10
            for client in clients:
                await client.send(b"queued\n")
                await client.expect(b"QUEUED\n")
                await client.aclose()
            await server.shutdown()


async def test_who_waits_in_the_queue_is_served_by_a_close(
    network: MemoryNetwork | None, family: str, tmp_path: Path
) -> None:
    server = stream_server(family, tmp_path)
    server.max_concurrent_requests = 1
    async with running(server, network):
        first, second = await connect(server), await connect(server)
        await first.send(b"first\n")
        await first.expect(b"FIRST\n")
        async with trio.open_nursery() as nursery:
            nursery.start_soon(server.server_close)
            await trio.testing.wait_all_tasks_blocked(0.01)
            with pytest.raises(OSError, match=r"refused|No such file"):
                await connect(server)
            await second.send(b"second\n")
            await first.aclose()
            await second.expect(b"SECOND\n")
            await second.aclose()


async def test_who_is_in_the_queue_of_a_server_that_never_served_is_reset(
    network: MemoryNetwork | None, family: str, tmp_path: Path
) -> None:
    server = stream_server(family, tmp_path)
    if network is not None:
        network.adopt(server)
    async with await connect(server) as client:
        with server:
            pass
        await client.expect_reset()


async def ask_twice(client: DatagramClient) -> None:
    await client.send(b"one")
    await client.send(b"two")
    assert {await client.receive(), await client.receive()} == {b"ONE", b"TWO"}


async def test_datagrams_keep_their_boundaries(
    network: MemoryNetwork | None, family: str, tmp_path: Path
) -> None:
    server = (
        UDPServer(LOOPBACK, UpperDatagramHandler)
        if family == "inet"
        else UnixDatagramServer(str(tmp_path / "socket"), UpperDatagramHandler)
    )
    async with running(server, network):
        async with await open_datagram_client(server) as client:
            await ask_twice(client)
            await client.expect_silence(0.01)

    assert server.statistics().received == server.statistics().handled == 2


@pytest.mark.parametrize(
    ("host", "socket_family"),
    [("0.0.0.0", socket.AF_INET), ("::", socket.AF_INET6)],  # noqa: S104
)
async def test_a_wildcard_answers_from_where_it_was_asked(
    network: MemoryNetwork | None, host: str, socket_family: int
) -> None:
    hosts: list[str | None] = []

    class Telling(UpperDatagramHandler):
        async def handle(self) -> None:
            hosts.append(self.socket.local_host)
            await super().handle()

    async with running(UDPServer((host, 0), Telling), network) as server:
        async with await open_datagram_client(server) as client:
            await ask_twice(client)

    assert set(hosts) == {"127.0.0.1" if host == "0.0.0.0" else "::1"}  # noqa: S104


async def test_a_datagram_that_is_too_long_is_cut(
    network: MemoryNetwork | None, caplog: pytest.LogCaptureFixture
) -> None:
    class Small(UDPServer):
        max_packet_size = 3

    async with running(Small(LOOPBACK, UpperDatagramHandler), network) as server:
        async with await open_datagram_client(server) as client:
            await client.send(b"long")
            await client.send(b"ok")
            await client.expect(b"OK")
            with pytest.raises(OSError, match="too long"):
                await client.send(bytes(65508))

    assert server.statistics().truncated == 1
    assert "longer than the max_packet_size of 3 bytes" in caplog.text


async def test_nobody_answers_for_a_server_that_is_closed(
    network: MemoryNetwork | None, family: str, tmp_path: Path
) -> None:
    server = (
        UDPServer(LOOPBACK, UpperDatagramHandler)
        if family == "inet"
        else UnixDatagramServer(str(tmp_path / "socket"), UpperDatagramHandler)
    )
    async with running(server, network):
        client = await open_datagram_client(server)
        await server.server_close()
        async with client:
            with pytest.raises(ConnectionRefusedError):
                await _ask(client)


async def _ask(client: DatagramClient) -> None:
    await client.send(b"lost")  # a Unix socket refuses it at once
    await client.receive()


async def test_sessions(network: MemoryNetwork | None) -> None:
    async with running(CountingServer(), network) as server:
        async with (
            await open_datagram_client(server) as one,
            await open_datagram_client(server) as two,
        ):
            await one.send(b"a")
            await one.expect(b"1")
            await two.send(b"a")
            await two.expect(b"1")
            await one.send(b"b")
            await one.expect(b"2")
            assert one.address != two.address
            assert server.statistics().sessions == 2

    assert server.ends == ["stopped", "stopped"]


async def test_handle_request_serves_one_client(network: MemoryNetwork | None) -> None:
    server = TCPServer(LOOPBACK, UpperHandler)
    server.timeout = 0.01
    if network is not None:
        network.adopt(server)
    with server:
        await server.handle_request()  # nobody comes
        async with await connect(server) as client:
            await client.send(b"hello\n")
            await client.send_eof()
            await server.handle_request()
            assert await client.receive_all() == b"HELLO\n"
