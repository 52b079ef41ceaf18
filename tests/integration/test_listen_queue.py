"""Clients in the listen queue: whom a limit keeps there, and who is served."""

from __future__ import annotations

import errno
import os
import select
import socket
import weakref

import pytest
import trio
import trio.testing

from kit.serving import (
    LOOPBACK,
    STUCK,
    GateHandler,
    GateServer,
    UpperHandler,
    connect,
    receive_all,
    serving,
)
from trioserver import Connection, TCPServer
from trioserver._servers import tcp
from trioserver._sockets.accept import has_queued

QUEUED = 50


async def queue_up(server: TCPServer, count: int) -> list[trio.SocketStream]:
    """Return clients that have sent a line, and wait to be accepted."""
    clients = [await connect(server) for _ in range(count)]
    for client in clients:
        await client.send_all(b"queued\n")
    return clients


async def receive_each(clients: list[trio.SocketStream]) -> list[bytes]:
    """Return all that each client gets, and close it."""
    replies = []
    for client in clients:
        async with client:
            replies.append(await receive_all(client))
    return replies


async def test_a_limit_keeps_the_others_in_the_listen_queue() -> None:
    server = GateServer()
    server.max_concurrent_requests = 2
    async with serving(server):
        clients = await queue_up(server, 5)
        await server.wait_inside(2)
        await trio.testing.wait_all_tasks_blocked()
        assert server.requests_in_flight == 2

        server.gate.set()
        replies = await receive_each(clients)

    assert replies == [b"QUEUED\n"] * 5
    assert server.peak_inside == 2


async def test_raising_the_limit_admits_those_who_wait() -> None:
    server = GateServer()
    server.max_concurrent_requests = 1
    async with serving(server):
        clients = await queue_up(server, 3)
        await server.wait_inside(1)

        server.max_concurrent_requests = 3
        await server.wait_inside(3)

        server.gate.set()
        await receive_each(clients)

    assert server.peak_inside == 3


async def test_lowering_the_limit_lets_those_inside_finish() -> None:
    server = GateServer()
    async with serving(server):
        clients = await queue_up(server, 3)
        await server.wait_inside(3)

        server.max_concurrent_requests = 1
        clients += await queue_up(server, 2)
        await trio.testing.wait_all_tasks_blocked()
        assert server.inside == 3

        server.gate.set()
        replies = await receive_each(clients)

    assert replies == [b"QUEUED\n"] * 5
    assert server.peak_inside == 3


async def test_a_limit_of_one_is_the_order_of_socketserver() -> None:
    order: list[bytes] = []

    class Noting(UpperHandler):
        async def handle(self) -> None:
            order.append(await self.rfile.readline())
            await trio.testing.wait_all_tasks_blocked()
            order.append(b"done")

    server = TCPServer(LOOPBACK, Noting)
    server.max_concurrent_requests = 1
    async with serving(server):
        clients = await queue_up(server, 3)
        await receive_each(clients)

    assert order == [b"queued\n", b"done"] * 3


async def test_a_limit_of_zero_accepts_nobody_until_it_is_raised() -> None:
    server = GateServer()
    server.max_concurrent_requests = 0
    server.gate.set()
    async with serving(server):
        clients = await queue_up(server, 2)
        await trio.testing.wait_all_tasks_blocked()
        assert server.requests_in_flight == 0

        server.max_concurrent_requests = 1
        assert await receive_each(clients) == [b"QUEUED\n"] * 2


@pytest.mark.parametrize(
    ("limit", "error"),
    [(-1, ValueError), (1.5, TypeError), (True, TypeError), (None, TypeError)],
)
def test_a_limit_that_is_none_is_refused(limit: object, error: type[Exception]) -> None:
    with TCPServer(LOOPBACK, UpperHandler) as server:
        with pytest.raises(error, match="max_concurrent_requests must be"):
            server.max_concurrent_requests = limit  # type: ignore[assignment]  # wrong


async def test_everybody_in_the_queue_is_served_at_shutdown() -> None:
    server = GateServer()
    server.max_concurrent_requests = 1
    with trio.fail_after(STUCK):
        async with trio.open_nursery() as nursery:
            await nursery.start(server.serve)
            clients = await queue_up(server, QUEUED)
            await server.wait_inside(1)

            await server.shutdown()
            server.gate.set()
            replies = await receive_each(clients)

    assert replies == [b"QUEUED\n"] * QUEUED
    assert server.peak_inside == 1


async def test_the_queue_is_served_in_its_order() -> None:
    order: list[bytes] = []

    class Noting(GateHandler):
        async def handle(self) -> None:
            order.append(await self.rfile.readline())
            await self.server.pass_gate()

    server = GateServer(Noting)
    server.max_concurrent_requests = 1
    with trio.fail_after(STUCK):
        async with trio.open_nursery() as nursery:
            await nursery.start(server.serve)
            clients = [await connect(server) for _ in range(QUEUED)]
            for number, client in enumerate(clients):
                await client.send_all(b"%d\n" % number)
            await server.wait_inside(1)
            await server.shutdown()
            server.gate.set()
            await receive_each(clients)

    assert order == [b"%d\n" % number for number in range(QUEUED)]


async def test_the_port_refuses_at_once_while_the_queue_is_served() -> None:
    server = GateServer()
    server.max_concurrent_requests = 1
    with trio.fail_after(STUCK):
        async with trio.open_nursery() as nursery:
            await nursery.start(server.serve)
            address = server.server_address
            clients = await queue_up(server, 3)
            await server.wait_inside(1)

            await server.shutdown()
            await trio.testing.wait_all_tasks_blocked()
            with trio.socket.socket() as late, pytest.raises(ConnectionRefusedError):
                await late.connect(address)

            server.gate.set()
            assert await receive_each(clients) == [b"QUEUED\n"] * 3


async def test_the_queue_is_accepted_when_close_does_not_block() -> None:
    server = GateServer()
    server.max_concurrent_requests = 1
    server.block_on_close = False
    with trio.fail_after(STUCK):
        async with trio.open_nursery() as nursery:
            await nursery.start(server.serve)
            clients = await queue_up(server, 3)
            await server.wait_inside(1)

            await server.server_close()
            assert (server.fileno(), server.requests_in_flight) == (-1, 3)

            server.gate.set()
            assert await receive_each(clients) == [b"QUEUED\n"] * 3


async def test_a_daemon_server_does_not_serve_the_queue() -> None:
    server = GateServer()
    server.max_concurrent_requests = 1
    server.daemon_requests = True
    with trio.fail_after(STUCK):
        async with trio.open_nursery() as nursery:
            await nursery.start(server.serve)
            clients = await queue_up(server, 3)
            await server.wait_inside(1)
            await server.shutdown()

    assert server.peak_inside == 1
    for client in clients:
        client.socket.close()


async def test_waiting_for_a_slot_can_be_cancelled() -> None:
    server = GateServer()
    server.max_concurrent_requests = 1
    server.drain_timeout = 0.05
    with trio.fail_after(STUCK):
        async with trio.open_nursery() as nursery:
            await nursery.start(server.serve)
            clients = await queue_up(server, 3)
            await server.wait_inside(1)
            await server.shutdown()

    assert (server.cancelled, server.peak_inside) == (1, 1)
    assert await receive_each(clients) == [b""] * 3


async def test_the_queue_of_a_socket_from_elsewhere_is_left_to_others() -> None:
    server = GateServer()
    server.max_concurrent_requests = 1
    server.socket.close()
    with socket.create_server(LOOPBACK) as shared:
        server.socket = shared.dup()
        server.server_address = shared.getsockname()
        with trio.fail_after(STUCK):
            async with trio.open_nursery() as nursery:
                await nursery.start(server.serve)
                inside, queued = await queue_up(server, 2)
                await server.wait_inside(1)
                await server.shutdown()
                server.gate.set()
                assert await receive_each([inside]) == [b"QUEUED\n"]

        shared.settimeout(STUCK)
        accepted, address = shared.accept()
        accepted.close()
    assert address == queued.socket.getsockname()
    await queued.aclose()


async def test_a_successor_that_was_given_the_socket_goes_on_accepting() -> None:
    """As many as before: nothing that is done to the socket at the close stays."""
    server = GateServer()
    server.socket.set_inheritable(True)
    with socket.socket(fileno=os.dup(server.fileno())) as successor:
        async with serving(server):
            inside, queued = await queue_up(server, 2)
            await server.wait_inside(1)
            server.gate.set()
        assert server.fileno() == -1
        await inside.aclose()
        await queued.aclose()

        clients = [socket.create_connection(server.server_address) for _ in range(5)]
        successor.settimeout(STUCK)
        for client in clients:
            successor.accept()[0].close()
            client.close()


async def test_a_socket_that_blocks_does_not_block_the_others() -> None:
    server = TCPServer(LOOPBACK, UpperHandler)
    server.socket.setblocking(True)
    async with serving(server):
        clients = await queue_up(server, 1)
        await clients[0].send_eof()

        assert await receive_each(clients) == [b"QUEUED\n"]


async def test_a_shortage_while_the_queue_is_taken_is_waited_for() -> None:
    class Short(GateServer):
        failures = 2

        async def get_request(self) -> tuple[Connection, object]:
            if self.peak_inside and self.failures:
                self.failures -= 1
                raise OSError(errno.EMFILE, "full")
            return await super().get_request()

    server = Short()
    server.max_concurrent_requests = 1
    with trio.fail_after(STUCK):
        async with trio.open_nursery() as nursery:
            await nursery.start(server.serve)
            clients = await queue_up(server, 3)
            await server.wait_inside(1)
            await server.shutdown()
            server.gate.set()
            assert await receive_each(clients) == [b"QUEUED\n"] * 3

    assert server.failures == 0


async def test_a_listener_that_cannot_listen_is_closed_without_its_queue() -> None:
    server = TCPServer(LOOPBACK, UpperHandler)
    with trio.fail_after(STUCK):
        async with trio.open_nursery() as nursery:
            await nursery.start(server.serve)
            broken = socket.socket(socket.AF_UNIX)
            original, server.socket = server.socket, broken
            server._made_here = (weakref.ref(broken), os.getpid())
            await server.shutdown()
            original.close()

    assert server.fileno() == -1


async def test_who_comes_between_the_last_look_and_the_close_is_not_let_in(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """So nobody is told that it is connected, and reset by the close."""
    server = TCPServer(LOOPBACK, UpperHandler)
    newcomer = socket.socket()
    newcomer.setblocking(False)
    told: list[bool] = []

    def look_and_let_somebody_come(sock: socket.socket) -> bool:
        assert not has_queued(sock)
        newcomer.connect_ex(sock.getsockname())
        told.append(bool(select.select([], [newcomer], [], 0)[1]))
        return False

    monkeypatch.setattr(tcp, "may_be_shared", lambda _sock: False)
    monkeypatch.setattr(tcp, "has_queued", look_and_let_somebody_come)
    with newcomer:
        async with serving(server):
            pass

    assert told == [False]


async def test_the_queue_is_served_although_nobody_can_be_kept_out(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def fail(sock: socket.socket) -> bool:
        raise OSError(errno.EPERM, "not here")

    monkeypatch.setattr(tcp, "may_be_shared", lambda _sock: False)
    monkeypatch.setattr(tcp, "turn_newcomers_away", fail)
    server = GateServer()
    server.max_concurrent_requests = 1
    with trio.fail_after(STUCK):
        async with trio.open_nursery() as nursery:
            await nursery.start(server.serve)
            clients = await queue_up(server, 3)
            await server.wait_inside(1)

            await server.shutdown()
            server.gate.set()
            replies = await receive_each(clients)

    assert replies == [b"QUEUED\n"] * 3
