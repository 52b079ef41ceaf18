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
from kit.forks import Handler, meet
from kit.serving import (
    LOOPBACK,
    STUCK,
    eventually,
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
    ids=[
        "synchronous class",
        "asynchronous class",
        "function",
        "asynchronous function",
        "partial of a function",
        "partial of a class",
        "callable object",
    ],
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


class PlainHooks(ForkingTCPServer):
    """Overrides hooks as existing code does, which awaits nothing."""

    def finish_request(self, request: socket.socket, client_address: object) -> None:  # type: ignore[override]  # plain
        request.sendall(b"finish ")
        super().finish_request(request, client_address)  # type: ignore[unused-coroutine]  # none, in a child

    def handle_error(self, request: socket.socket, client_address: object) -> None:  # type: ignore[override]  # plain
        request.sendall(b"error ")
        super().handle_error(request, client_address)  # type: ignore[unused-coroutine]  # as above

    def shutdown_request(self, request: socket.socket) -> None:  # type: ignore[override]  # plain
        request.sendall(b"shutdown ")
        super().shutdown_request(request)  # type: ignore[unused-coroutine]  # as above

    def close_request(self, request: socket.socket | Connection) -> None:  # type: ignore[override]  # plain
        if isinstance(request, socket.socket):
            assert request.fileno() != -1
        super().close_request(request)  # type: ignore[unused-coroutine]  # as above


class AsynchronousHooks(ForkingTCPServer):
    """The same with ``await``, in a server that knows trioserver."""

    async def finish_request(
        self, request: socket.socket, client_address: object
    ) -> None:
        request.sendall(b"finish ")
        await super().finish_request(request, client_address)

    async def handle_error(
        self, request: socket.socket, client_address: object
    ) -> None:
        request.sendall(b"error ")
        await super().handle_error(request, client_address)

    async def shutdown_request(self, request: socket.socket) -> None:
        request.sendall(b"shutdown ")
        await super().shutdown_request(request)

    async def close_request(self, request: socket.socket | Connection) -> None:
        await super().close_request(request)


def fail_after_a_word(request: socket.socket, *_: object) -> None:
    request.sendall(b"handle ")
    raise LookupError


@pytest.mark.parametrize("server_class", [PlainHooks, AsynchronousHooks])
async def test_overrides_of_both_kinds_may_call_super_for_a_synchronous_handler(
    server_class: type[ForkingTCPServer],
) -> None:
    async with serving(server_class(LOOPBACK, fail_after_a_word)) as server:
        reply = await meet(server)

    assert reply == b"finish handle error shutdown "


async def test_a_plain_override_may_return_the_handler_to_be_awaited() -> None:
    class Server(ForkingTCPServer):
        def finish_request(self, request: object, client_address: object) -> object:  # type: ignore[override]  # plain
            return self.RequestHandlerClass(request, client_address, self)

    async with serving(Server(LOOPBACK, asynchronous_function)) as server:
        reply = await meet(server, b"hello\n")

    assert reply.endswith(b" HELLO\n")


async def test_a_synchronous_handler_sees_its_server() -> None:
    class Mine(ForkingTCPServer):
        word = b"first"

        heirs = 0

        def __init_subclass__(cls) -> None:
            Mine.heirs += 1

    class Heir(Mine):
        """The only one that is noted."""

    def look(request: socket.socket, _: object, server: Mine) -> None:
        assert isinstance(server, Mine)
        assert type(server).__name__ == "Heir"
        server.server_close()  # type: ignore[unused-coroutine]  # none, in a child
        server.word = b"second"
        request.sendall(server.word)
        with pytest.raises(RuntimeError, match="has only a copy of the server"):
            server.shutdown()  # type: ignore[unused-coroutine]  # as above
        request.sendall(b" and last, %d" % Mine.heirs)

    async with serving(Heir(LOOPBACK, look)) as server:
        assert await meet(server) == b"second and last, 1"
        assert server.word == b"first"


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
