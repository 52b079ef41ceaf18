"""What becomes of datagrams, replies and descriptors when a UDP server stops."""

from __future__ import annotations

import socket

import pytest
import trio

from kit.datagrams import (
    GateDatagramHandler,
    GateDatagramServer,
    UpperDatagramHandler,
    ask,
    open_client,
    open_unconnected,
)
from kit.serving import LOOPBACK, STUCK, eventually, serving
from trioserver import BaseRequestHandler, UDPServer


def is_free(address: tuple[str, int]) -> bool:
    """Whether *address* can be bound."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        try:
            sock.bind(address)
        except OSError:
            return False
    return True


async def test_requests_that_run_still_send_their_replies() -> None:
    server = GateDatagramServer()
    with open_client(server) as client:
        async with serving(server):
            await client.send(b"hello")
            await eventually(lambda: server.events)
            await server.shutdown()
            await eventually(lambda: server.fileno() == -1)
            still_taken = not is_free(server.server_address)
            server.gate.set()
        reply = await client.recv(10)

    assert reply == b"HELLO"
    assert still_taken
    assert is_free(server.server_address)


async def test_they_do_without_being_waited_for_too() -> None:
    server = GateDatagramServer()
    server.block_on_close = False
    with trio.fail_after(STUCK), open_client(server) as client:
        async with server:
            await _serve_one(server, client)
            await server.server_close()
            in_flight = server.requests_in_flight
            server.gate.set()
            reply = await client.recv(10)
            await eventually(lambda: is_free(server.server_address))

    assert in_flight == 1
    assert reply == b"HELLO"


async def _serve_one(
    server: GateDatagramServer, client: trio.socket.SocketType
) -> None:
    async with trio.open_nursery() as nursery:
        nursery.start_soon(server.serve_forever)
        await client.send(b"hello")
        await eventually(lambda: server.events)
        await server.shutdown()


async def test_a_plain_with_closes_everything() -> None:
    with UDPServer(LOOPBACK, UpperDatagramHandler) as server:
        with open_client(server) as client:
            await client.send(b"hello")
            await server.handle_request()
            assert await client.recv(10) == b"HELLO"

    assert is_free(server.server_address)


async def test_a_request_that_is_handed_on_cannot_reply_once_all_is_closed() -> None:
    sockets = []

    class HandingOn(UDPServer):
        async def process_request(
            self, request: tuple[bytes, object], client_address: object
        ) -> None:
            sockets.append(request[1])

    with open_unconnected() as client:
        async with serving(HandingOn(LOOPBACK, BaseRequestHandler)) as server:
            await client.sendto(b"hello", server.server_address)
            await eventually(lambda: sockets)

    with pytest.raises(trio.ClosedResourceError, match="the server was closed"):
        await sockets[0].sendto(b"late", ("127.0.0.1", 9))  # type: ignore[attr-defined]  # it is a `DatagramSocket`


async def test_what_waits_in_the_systems_queue_is_dropped() -> None:
    server = GateDatagramServer()
    server.max_concurrent_requests = 1
    with open_client(server) as client:
        async with serving(server):
            await client.send(b"1")
            await client.send(b"2")
            await eventually(lambda: server.events)
            server.gate.set()
            server.max_concurrent_requests = 0
            await eventually(lambda: not server.requests_in_flight)

    assert server.events == [b"begin 1", b"end 1"]


# Another socket


async def test_a_socket_may_be_put_in_the_place_of_the_first() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.bind(LOOPBACK)
        server = UDPServer(LOOPBACK, UpperDatagramHandler, bind_and_activate=False)
        server.socket.close()
        server.socket = sock
        server.server_address = sock.getsockname()
        async with serving(server):
            with open_client(server) as client:
                reply = await ask(client, b"hello")

    assert reply == b"HELLO"


async def test_a_request_replies_where_it_came_from_after_the_socket_is_another() -> (
    None
):
    server = GateDatagramServer()
    first = server.socket
    with open_client(server) as client, first:
        async with server:
            await _serve_one(server, client)
            with UDPServer(LOOPBACK, GateDatagramHandler) as other:
                server.socket = other.socket
                async with trio.open_nursery() as nursery:
                    nursery.start_soon(server.serve_forever)
                    await trio.testing.wait_all_tasks_blocked()
                    server.gate.set()
                    reply = await client.recv(10)
                    await server.shutdown()
                # The socket that nobody needs any more is let go.
                assert server._outgrown == []

    assert reply == b"HELLO"


async def test_can_serve_again_after_a_shutdown() -> None:
    server = UDPServer(LOOPBACK, UpperDatagramHandler)
    replies = []
    with trio.fail_after(STUCK), open_client(server) as client:
        for _ in range(2):
            async with trio.open_nursery() as nursery:
                nursery.start_soon(server.serve_forever)
                replies.append(await ask(client, b"hello"))
                await server.shutdown()
        await server.server_close()

    assert replies == [b"HELLO"] * 2
