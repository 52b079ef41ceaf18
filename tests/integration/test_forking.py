"""Forking servers: what runs where, and what comes of it."""

from __future__ import annotations

import os
import select
import socket
import socketserver
from contextvars import ContextVar
from functools import partial
from pathlib import Path

import pytest
import trio

import trioserver
from kit.forks import Handler, is_alive, meet, receive_pid
from kit.serving import (
    LOOPBACK,
    STUCK,
    connect,
    eventually,
    receive_all,
    receive_line,
    serving,
)
from trioserver import Connection, ForkingTCPServer


class SynchronousUpper(socketserver.StreamRequestHandler):
    """A handler of socketserver's, as it is."""

    def handle(self) -> None:
        for line in self.rfile:
            self.wfile.write(b"%d " % os.getpid() + line.upper())


class AsynchronousUpper(trioserver.StreamRequestHandler):
    async def handle(self) -> None:
        async for line in self.rfile:
            await self.wfile.write(b"%d " % os.getpid() + line.upper())


def plain_function(request: socket.socket, *_: object) -> None:
    with request.makefile("rwb") as file:
        file.write(b"%d " % os.getpid() + file.readline().upper())


async def asynchronous_function(request: Connection, *_: object) -> None:
    await trio.lowlevel.checkpoint()
    data = await request.receive_some()
    await request.send_all(b"%d " % os.getpid() + data.upper())


class Callable:
    async def __call__(self, *arguments: object) -> None:
        await asynchronous_function(*arguments)  # type: ignore[arg-type]  # as it comes


@pytest.mark.parametrize(
    "handler",
    [
        SynchronousUpper,
        AsynchronousUpper,
        plain_function,
        asynchronous_function,
        partial(plain_function),
        partial(AsynchronousUpper),
        Callable(),
    ],
    ids=str,
)
async def test_every_request_has_a_child_of_its_own(handler: Handler) -> None:
    async with serving(ForkingTCPServer(LOOPBACK, handler)) as server:
        replies = [await meet(server, b"hello\n") for _ in range(2)]

    pids = {int(reply.split()[0]) for reply in replies}
    assert [reply.split()[1] for reply in replies] == [b"HELLO"] * 2
    assert len(pids | {os.getpid()}) == 3


async def test_a_synchronous_handler_has_a_real_socket_that_blocks() -> None:
    def handle(request: socket.socket, client_address: object, _: object) -> None:
        assert request.gettimeout() is None
        assert request.getpeername() == client_address
        assert select.select([], [request], [], 0)[1] == [request]
        request.settimeout(STUCK)
        first = request.recv(1)
        request.sendall(first + request.makefile("rb").read())
        request.shutdown(socket.SHUT_WR)

    async with serving(ForkingTCPServer(LOOPBACK, handle)) as server:
        assert await meet(server, b"hello") == b"hello"


async def test_a_synchronous_handler_gets_the_default_timeout_of_sockets() -> None:
    def handle(request: socket.socket, *_: object) -> None:
        request.sendall(str(request.gettimeout()).encode())

    socket.setdefaulttimeout(2.5)
    try:
        async with serving(ForkingTCPServer(LOOPBACK, handle)) as server:
            reply = await meet(server)
    finally:
        socket.setdefaulttimeout(None)

    assert reply == b"2.5"


async def test_a_child_sees_the_state_as_of_its_request_and_keeps_its_own() -> None:
    class Counting(ForkingTCPServer):
        count = 0

        async def verify_request(self, *_: object) -> bool:
            self.count += 1
            return True

    seen: list[int] = []

    def handle(request: socket.socket, _: object, server: Counting) -> None:
        server.count += 10
        request.sendall(b"%d %r" % (server.count, seen))
        seen.append(server.count)

    async with serving(Counting(LOOPBACK, handle)) as server:
        first = await meet(server)
        seen.append(1)
        second = await meet(server)

    assert (first, second) == (b"11 []", b"12 [1]")
    assert (server.count, seen) == (2, [1])


_greeting: ContextVar[bytes] = ContextVar("_greeting")


async def test_a_child_has_a_trio_run_of_its_own_in_the_context_of_its_request() -> (
    None
):
    async def handle(request: Connection, *_: object) -> None:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(request.send_all, _greeting.get())

    _greeting.set(b"hello")
    async with serving(ForkingTCPServer(LOOPBACK, handle)) as server:
        _greeting.set(b"too late")
        assert await meet(server) == b"hello"


# Hooks


class PlaceServer(ForkingTCPServer):
    """Notes in a file which hook runs in which process."""

    journal: Path

    def note(self, what: str) -> None:
        with self.journal.open("a") as file:
            file.write(f"{what} {os.getpid()}\n")

    async def verify_request(self, *_: object) -> bool:
        self.note("verify_request")
        return True

    async def finish_request(self, request: object, client_address: object) -> None:
        self.note("finish_request")
        await super().finish_request(request, client_address)

    async def shutdown_request(self, request: object) -> None:
        self.note("shutdown_request")
        await super().shutdown_request(request)

    async def close_request(self, request: object) -> None:
        self.note("close_request")
        await super().close_request(request)

    async def handle_error(self, *_: object) -> None:
        self.note("handle_error")


class FailingSynchronous(socketserver.BaseRequestHandler):
    server: PlaceServer  # type: ignore[assignment]  # of the other library

    def setup(self) -> None:
        self.server.note("setup")

    def handle(self) -> None:
        self.server.note("handle")
        raise LookupError

    def finish(self) -> None:
        self.server.note("finish")


class FailingAsynchronous(trioserver.BaseRequestHandler):
    server: PlaceServer

    async def setup(self) -> None:
        self.server.note("setup")

    async def handle(self) -> None:
        self.server.note("handle")
        raise LookupError

    async def finish(self) -> None:
        self.server.note("finish")


@pytest.mark.parametrize("handler", [FailingSynchronous, FailingAsynchronous])
async def test_hooks_run_where_those_of_socketserver_do(
    handler: Handler, tmp_path: Path
) -> None:
    server = PlaceServer(LOOPBACK, handler)
    server.journal = tmp_path / "journal"
    async with serving(server):
        await meet(server)
        await eventually(lambda: not server.requests_in_flight)

    noted = [line.split() for line in server.journal.read_text().splitlines()]
    here = [what for what, pid in noted if int(pid) == os.getpid()]
    there = [what for what, pid in noted if int(pid) != os.getpid()]
    assert here == ["verify_request", "close_request"]
    assert there == [
        "finish_request",
        "setup",
        "handle",
        "finish",
        "handle_error",
        "shutdown_request",
        "close_request",
    ]


@pytest.mark.parametrize("handler", [plain_function, asynchronous_function])
async def test_hooks_may_be_plain_functions(handler: Handler) -> None:
    class Server(ForkingTCPServer):
        def finish_request(self, request: object, client_address: object) -> object:  # type: ignore[override]  # plain
            self.was_here = b" finished"
            return self.RequestHandlerClass(request, client_address, self)

        def shutdown_request(self, request: socket.socket | Connection) -> None:  # type: ignore[override]  # plain
            sock = request.socket if isinstance(request, Connection) else request
            sock.send(self.was_here)
            sock.close()

    async with serving(Server(LOOPBACK, handler)) as server:
        reply = await meet(server, b"hello\n")

    assert reply.split()[1:] == [b"HELLO", b"finished"]


async def test_close_request_that_fails_is_reported_once_the_child_has_ended(
    caplog: pytest.LogCaptureFixture,
) -> None:
    here = os.getpid()

    class Server(ForkingTCPServer):
        async def close_request(self, request: object) -> None:
            await super().close_request(request)
            if os.getpid() == here:
                message = "cannot close"
                raise LookupError(message)

    async with serving(Server(LOOPBACK, plain_function)) as server:
        reply = await meet(server, b"hello\n")
        await eventually(lambda: not server.requests_in_flight)

    assert reply.endswith(b"HELLO\n")
    assert "LookupError: cannot close" in caplog.text


# Limits


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
    server = ForkingTCPServer(LOOPBACK, plain_function)
    with trio.fail_after(STUCK), server:
        async with await connect(server) as client:
            await client.send_all(b"hello\n")
            await client.send_eof()
            await server.handle_request()
            reply = await receive_all(client)

    assert reply.endswith(b"HELLO\n")
    assert server.active_children == set()


# Other requests


async def test_what_is_no_stream_of_ours_is_handed_on_as_it_is() -> None:
    class Server(ForkingTCPServer):
        async def get_request(self) -> tuple[socket.socket, object]:
            request, client_address = await super().get_request()
            with request.socket as sock:
                plain = sock.dup()
            plain.setblocking(True)
            return plain, client_address

    async with serving(Server(LOOPBACK, plain_function)) as server:
        reply = await meet(server, b"hello\n")

    assert reply.endswith(b"HELLO\n")
