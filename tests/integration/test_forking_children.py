"""How many children run at once, and who knows of them."""

from __future__ import annotations

import os
import socket
from functools import partial

import trio

from kit.forks import is_alive, receive_pid
from kit.serving import (
    LOOPBACK,
    STUCK,
    connect,
    eventually,
    receive_line,
    serving,
)
from trioserver import ForkingTCPServer


def wait_for_a_line(request: socket.socket, *_: object) -> None:
    request.sendall(b"hello\n")
    request.recv(1)


async def test_max_children_is_how_many_run_and_the_others_wait_in_the_queue() -> None:
    server = ForkingTCPServer(LOOPBACK, wait_for_a_line)
    server.max_children = 2
    async with serving(server):
        async with (
            await connect(server) as first,
            await connect(server) as second,
            await connect(server) as third,
            await connect(server) as fourth,
        ):
            assert await receive_line(first) == b"hello\n"
            assert await receive_line(second) == b"hello\n"
            await trio.testing.wait_all_tasks_blocked()
            assert server.requests_in_flight == 2
            await first.send_eof()
            assert await receive_line(third) == b"hello\n"
            assert server.requests_in_flight == 2
            server.max_children = 3
            assert await receive_line(fourth) == b"hello\n"
            for client in (second, third, fourth):
                await client.send_eof()


async def test_the_smaller_of_the_two_limits_counts() -> None:
    server = ForkingTCPServer(LOOPBACK, wait_for_a_line)
    server.max_concurrent_requests = 1
    async with serving(server):
        async with await connect(server) as first, await connect(server) as second:
            assert await receive_line(first) == b"hello\n"
            await trio.testing.wait_all_tasks_blocked()
            assert server.requests_in_flight == 1
            server.max_concurrent_requests = 100
            assert await receive_line(second) == b"hello\n"
            await first.send_eof()
            await second.send_eof()


async def test_active_children_are_those_that_run() -> None:
    def tell_pid(request: socket.socket, *_: object) -> None:
        request.sendall(b"%d\n" % os.getpid())
        request.recv(1)

    server = ForkingTCPServer(LOOPBACK, tell_pid)
    seen = [server.active_children]
    async with serving(server), await connect(server) as client:
        pid = await receive_pid(client)
        seen.append(set(server.active_children or ()))
        await client.send_eof()
        await eventually(lambda: not server.requests_in_flight)
        seen.append(server.active_children)

    assert seen == [None, {pid}, set()]
    assert not is_alive(pid)


async def test_collect_children_waits_for_those_that_run_if_it_shall() -> None:
    server = ForkingTCPServer(LOOPBACK, wait_for_a_line)
    await server.collect_children(blocking=True)
    async with serving(server), await connect(server) as client:
        await receive_line(client)
        await server.collect_children()
        assert server.requests_in_flight == 1
        async with trio.open_nursery() as nursery:
            nursery.start_soon(partial(server.collect_children, blocking=True))
            await trio.testing.wait_all_tasks_blocked()
            assert server.active_children
            await client.send_eof()
        assert not server.active_children


async def test_collect_children_is_called_where_socketserver_calls_it() -> None:
    class Server(ForkingTCPServer):
        timeout = 0
        calls = 0

        async def collect_children(self, *, blocking: bool = False) -> None:
            self.calls += 1
            await super().collect_children(blocking=blocking)

    server = Server(LOOPBACK, wait_for_a_line)
    await server.handle_request()
    assert server.calls == 1
    with trio.fail_after(STUCK):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(server.serve_forever, 0.001)
            await eventually(lambda: server.calls == 3)
            await server.shutdown()
    await server.server_close()

    assert server.calls >= 4


async def test_nothing_is_called_now_and_then_if_it_would_do_nothing() -> None:
    async with serving(ForkingTCPServer(LOOPBACK, wait_for_a_line)) as server:
        await trio.testing.wait_all_tasks_blocked(0.001)

        assert not server._has_service_actions()


async def test_handle_request_waits_for_the_child() -> None:
    server = ForkingTCPServer(LOOPBACK, wait_for_a_line)
    with trio.fail_after(STUCK), server:
        async with await connect(server) as client:
            await client.send_eof()
            await server.handle_request()
            assert await receive_line(client) == b"hello\n"

    assert server.active_children == set()
