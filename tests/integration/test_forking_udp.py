"""Datagrams in child processes."""

from __future__ import annotations

import os
import socket
import socketserver

import pytest
import trio

import trioserver
from kit.datagrams import ask, open_client
from kit.forks import Handler, is_alive
from kit.serving import LOOPBACK, eventually, serving
from trioserver import DatagramSocket, ForkingUDPServer


class SynchronousUpper(socketserver.DatagramRequestHandler):
    """A handler of socketserver's, as it is."""

    def handle(self) -> None:
        self.wfile.write(b"%d " % os.getpid() + self.rfile.read().upper())


class AsynchronousUpper(trioserver.DatagramRequestHandler):
    async def handle(self) -> None:
        await trio.lowlevel.checkpoint()
        self.wfile.write(b"%d " % os.getpid() + self.rfile.read().upper())


def send_itself(
    request: tuple[bytes, socket.socket], client_address: tuple[str, int], _: object
) -> None:
    data, sock = request
    sock.sendto(b"%d " % os.getpid() + data.upper(), client_address)


HANDLERS = (SynchronousUpper, AsynchronousUpper, send_itself)


@pytest.mark.parametrize("handler", HANDLERS)
async def test_each_datagram_has_a_child_of_its_own(handler: Handler) -> None:
    async with serving(ForkingUDPServer(LOOPBACK, handler)) as server:
        with open_client(server) as client:
            replies = [await ask(client, b"hello") for _ in range(2)]
        await eventually(lambda: not server.requests_in_flight)
        statistics = server.statistics()

    pids = {int(reply.split()[0]) for reply in replies}
    assert [reply.split()[1] for reply in replies] == [b"HELLO"] * 2
    assert len(pids | {os.getpid()}) == 3
    assert not any(is_alive(pid) for pid in pids)
    assert (statistics.received, statistics.handled) == (2, 2)


async def test_a_datagram_that_fails_is_not_counted_as_handled() -> None:
    def fail(*_: object) -> None:
        raise LookupError

    async with serving(ForkingUDPServer(LOOPBACK, fail)) as server:
        with open_client(server) as client:
            await client.send(b"hello")
            await eventually(lambda: server.statistics().received)
        await eventually(lambda: not server.requests_in_flight)

        assert server.statistics().handled == 0


@pytest.mark.parametrize("handler", HANDLERS)
async def test_what_is_truncated_needs_no_child(handler: Handler) -> None:
    class Server(ForkingUDPServer):
        max_packet_size = 3
        places: tuple[int, ...] = ()

        async def handle_truncated(self, *_: object) -> None:
            self.places += (os.getpid(),)

    async with serving(Server(LOOPBACK, handler)) as server:
        with open_client(server) as client:
            await client.send(b"hello")
            reply = await ask(client, b"abc")
        await eventually(lambda: not server.requests_in_flight)
        statistics = server.statistics()

    assert reply.endswith(b" ABC")
    assert server.places == (os.getpid(),)
    assert (statistics.received, statistics.truncated, statistics.handled) == (2, 1, 1)


async def test_a_plain_override_of_close_request_has_nothing_to_close() -> None:
    class Server(ForkingUDPServer):
        def close_request(self, request: object) -> None:  # type: ignore[override]  # plain
            super().close_request(request)  # type: ignore[unused-coroutine]  # none, in a view

    async with serving(Server(LOOPBACK, SynchronousUpper)) as server:
        with open_client(server) as client:
            reply = await ask(client, b"hello")

    assert reply.endswith(b" HELLO")


async def test_the_servers_socket_stays_non_blocking() -> None:
    def block(
        request: tuple[bytes, socket.socket], address: tuple[str, int], server: object
    ) -> None:
        request[1].setblocking(True)
        send_itself(request, address, server)

    async with serving(ForkingUDPServer(LOOPBACK, block)) as server:
        with open_client(server) as client:
            await ask(client, b"hello")
        assert not os.get_blocking(server.fileno())


async def test_a_child_does_not_wait_for_those_who_wait_to_send_in_the_parent() -> None:
    async def reply(
        request: tuple[bytes, DatagramSocket], client_address: object, _: object
    ) -> None:
        data, sock = request
        async with sock._replies._turn:
            await sock.sendto(data, client_address)

    class Server(ForkingUDPServer):
        async def verify_request(
            self, request: tuple[bytes, DatagramSocket], _: object
        ) -> bool:
            # Nobody gives it back.
            request[1]._replies._turn.acquire_nowait()
            return True

    async with serving(Server(LOOPBACK, reply)) as server:
        with open_client(server) as client:
            assert await ask(client, b"hello") == b"hello"
