"""Synchronous handlers in threads: what they are given, and how many run."""

from __future__ import annotations

import contextvars
import select
import socket
import socketserver
import threading
from functools import partial

import pytest
import trio

from kit.serving import (
    LOOPBACK,
    STUCK,
    ask,
    connect,
    eventually,
    receive_all,
    serving,
)
from kit.threads import Gate, UpperThreadHandler, reply_of, threading_server
from trioserver import (
    ThreadingTCPServer,
)


async def test_runs_an_unchanged_handler_of_the_standard_library() -> None:
    async with serving(ThreadingTCPServer(LOOPBACK, UpperThreadHandler)) as server:
        async with await connect(server) as client:
            assert await ask(client, b"one\n") == b"ONE\n"
            assert await ask(client, b"two\n") == b"TWO\n"
            await client.send_eof()
            assert await receive_all(client) == b""

    assert server.thread_limiter.borrowed_tokens == 0


async def test_the_request_is_a_real_blocking_socket() -> None:
    seen: list[object] = []

    class Handler(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            request = self.request
            seen.extend([type(request), request.gettimeout(), request.getblocking()])
            seen.append(request.getpeername() == self.client_address)
            seen.append(select.select([request], [], [])[0] == [request])
            request.settimeout(STUCK)
            with request.makefile("rwb") as file:
                file.write(file.readline().upper())
            request.shutdown(socket.SHUT_WR)

    reply = await reply_of(ThreadingTCPServer(LOOPBACK, Handler))

    assert reply == b"HELLO\n"
    assert seen == [socket.socket, None, True, True, True]


async def test_the_request_has_the_default_timeout_of_sockets(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    seen: list[float | None] = []
    server = threading_server(lambda self: seen.append(self.request.gettimeout()))
    monkeypatch.setattr(socket, "getdefaulttimeout", lambda: 12.5)

    await reply_of(server)

    assert seen == [12.5]


async def test_handlers_run_at_once_each_in_a_thread_of_its_own() -> None:
    gate, threads = Gate(), set[int]()

    def handle(_: object) -> None:
        threads.add(threading.get_ident())
        gate.wait()

    async with serving(threading_server(handle)) as server:
        async with await connect(server), await connect(server):
            await gate.wait_inside(2)
            gate.open()

    assert len(threads) == 2
    assert threading.get_ident() not in threads


@pytest.mark.parametrize("wrap", [partial, lambda function: function])
async def test_any_callable_may_be_the_handler(wrap: type[partial[None]]) -> None:
    def greet(request: socket.socket, client_address: object, server: object) -> None:
        request.sendall(b"hello")

    assert await reply_of(ThreadingTCPServer(LOOPBACK, wrap(greet))) == b"hello"


async def test_a_handler_sees_the_context_of_the_server() -> None:
    variable = contextvars.ContextVar("variable", default="nothing")
    seen: list[str] = []
    variable.set("something")

    await reply_of(threading_server(lambda _: seen.append(variable.get())))

    assert seen == ["something"]


@pytest.mark.parametrize("name", ["daemon_threads", "daemon_requests"])
def test_the_daemon_flag_has_two_names_and_is_one_setting(name: str) -> None:
    class Server(ThreadingTCPServer):
        pass

    setattr(Server, name, True)
    with Server(LOOPBACK, UpperThreadHandler) as server:
        assert (server.daemon_threads, server.daemon_requests) == (True, True)
        setattr(server, name, False)
        assert (server.daemon_threads, server.daemon_requests) == (False, False)


def test_the_flag_of_a_subclass_counts_more_than_the_other_of_its_base() -> None:
    class Base(ThreadingTCPServer):
        daemon_threads = True

    class Server(Base):
        daemon_requests = False

    with Server(LOOPBACK, UpperThreadHandler) as server:
        assert server.daemon_threads is False


@pytest.mark.parametrize("limit", [0, -1, 1.5])
def test_an_impossible_limit_is_refused(limit: float) -> None:
    class Server(ThreadingTCPServer):
        max_threads = limit

    with pytest.raises((TypeError, ValueError), match="max_threads"):
        Server(LOOPBACK, UpperThreadHandler)
    with ThreadingTCPServer(LOOPBACK, UpperThreadHandler) as server:
        with pytest.raises((TypeError, ValueError), match="max_threads"):
            server.max_threads = limit


async def test_no_thread_to_start_is_one_requests_error(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def refuse(*_: object) -> None:
        message = "can't start new thread"
        raise RuntimeError(message)

    async with serving(ThreadingTCPServer(LOOPBACK, UpperThreadHandler)) as server:
        with monkeypatch.context() as patch:
            patch.setattr(trio._threads, "start_thread_soon", refuse)
            async with await connect(server) as client:
                assert await receive_all(client) == b""
        async with await connect(server) as client:
            assert await ask(client, b"again\n") == b"AGAIN\n"

    assert caplog.text.count("RuntimeError: can't start new thread") == 1
    assert server.thread_limiter.borrowed_tokens == 0


async def test_no_descriptor_for_the_interruption_is_one_requests_error(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def refuse(_: int) -> int:
        message = "too many open files"
        raise OSError(message)

    async with serving(ThreadingTCPServer(LOOPBACK, UpperThreadHandler)) as server:
        with monkeypatch.context() as patch:
            patch.setattr(socket, "dup", refuse)
            async with await connect(server) as client:
                assert await receive_all(client) == b""
        async with await connect(server) as client:
            assert await ask(client, b"again\n") == b"AGAIN\n"

    assert "too many open files" in caplog.text


async def test_a_limit_of_threads_keeps_requests_waiting() -> None:
    gate = Gate()
    server = threading_server(lambda _: gate.wait(), max_threads=1)

    async with serving(server):
        async with await connect(server), await connect(server):
            await gate.wait_inside(1)
            await eventually(lambda: server.requests_in_flight == 2)
            await trio.testing.wait_all_tasks_blocked()
            assert gate.inside == 1
            server.max_threads = 2
            await gate.wait_inside(2)
            assert server.thread_limiter.borrowed_tokens == 2
            gate.open()

    assert server.thread_limiter.total_tokens == 2


async def test_fifty_blocked_handlers_do_not_starve_the_threads_of_others() -> None:
    gate = Gate()
    server = threading_server(lambda _: gate.wait())
    async with serving(server), trio.open_nursery() as nursery:
        clients = [await connect(server) for _ in range(50)]
        await gate.wait_inside(50)
        assert await trio.socket.getaddrinfo("localhost", 0)
        await trio.to_thread.run_sync(gate.open)
        for client in clients:
            nursery.start_soon(close_at_the_end, client)

    assert gate.passed == 50


async def close_at_the_end(client: trio.SocketStream) -> None:
    """Close when the server closes."""
    async with client:
        assert await receive_all(client) == b""
