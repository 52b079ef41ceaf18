"""Threads that are interrupted, threads that are abandoned, and who stops them."""

from __future__ import annotations

import itertools
import select
import socketserver
import threading
from collections.abc import Callable
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
    receive_line,
    serving,
)
from kit.threads import (
    AnyHandler,
    Gate,
    Handle,
    fill_send_buffer,
    handling,
    threading_server,
    threads_ended,
    wait_for_threads,
)
from trioserver import ThreadingTCPServer

# What is interrupted


def polls(handler: socketserver.StreamRequestHandler) -> None:
    """Wait in `select.select`."""
    readable, _, _ = select.select([handler.request], [], [])
    assert handler.request.recv(1) == b""
    assert readable == [handler.request]


LEFT_ALONE = ("trio", True)

BLOCKING: dict[str, Handle] = {
    "recv": lambda handler: handler.request.recv(1),
    "readline": lambda handler: handler.rfile.readline(),
    "select": polls,
    "sendall": lambda handler: fill_send_buffer(handler.request),
    "trio": lambda _: trio.from_thread.run(trio.sleep_forever),
    "computing": lambda _: check_for_ever(),
}


def check_for_ever() -> None:
    """Compute, and ask now and then whether to go on."""
    while True:
        trio.from_thread.check_cancelled()


@pytest.mark.parametrize(
    ("name", "daemon_threads"),
    # Left alone, a thread that waits in Trio does so for as long as Trio runs.
    [case for case in itertools.product(BLOCKING, (False, True)) if case != LEFT_ALONE],
)
async def test_a_cancelled_handler_that_waits_ends_at_once(
    name: str, *, daemon_threads: bool
) -> None:
    begun = threading.Event()

    def handle(handler: socketserver.StreamRequestHandler) -> None:
        begun.set()
        BLOCKING[name](handler)

    server = threading_server(handle, daemon_threads=daemon_threads)
    with trio.fail_after(STUCK):
        async with trio.open_nursery() as nursery:
            await nursery.start(server.serve)
            client = await connect(server)
            await eventually(begun.is_set)
            await trio.testing.wait_all_tasks_blocked()
            nursery.cancel_scope.cancel()
        async with client:
            await threads_ended(server)

    assert server.thread_limiter.borrowed_tokens == 0


async def test_what_was_sent_before_the_interruption_still_arrives() -> None:
    reply, is_written = bytes(20_000), threading.Event()

    def send_and_wait(handler: socketserver.StreamRequestHandler) -> None:
        handler.wfile.write(b"first\n")
        handler.wfile.write(reply)
        is_written.set()
        handler.rfile.read()

    server = threading_server(send_and_wait)
    with trio.fail_after(STUCK):
        async with trio.open_nursery() as nursery:
            await nursery.start(server.serve)
            client = await connect(server)
            # More than is ever read, which would make a plain close() send a reset.
            await client.send_all(b"unread\n")
            assert await receive_line(client) == b"first\n"
            await eventually(is_written.is_set)
            nursery.cancel_scope.cancel()
        async with client:
            assert await receive_all(client) == reply


async def test_after_drain_timeout_threads_are_interrupted(
    caplog: pytest.LogCaptureFixture,
) -> None:
    begun = threading.Event()

    def read(handler: socketserver.StreamRequestHandler) -> None:
        begun.set()
        handler.rfile.read()

    server = threading_server(read, drain_timeout=0.01)
    async with serving(server), await connect(server):
        await eventually(begun.is_set)
        await server.shutdown()
        await server.server_close()

    assert "The drain_timeout of 0.01 s is over" in caplog.text
    assert server.thread_limiter.borrowed_tokens == 0


# What is abandoned


async def test_the_client_of_an_abandoned_thread_is_let_go_at_once() -> None:
    gate = Gate()
    server = threading_server(lambda _: gate.wait(), daemon_threads=True)
    with trio.fail_after(STUCK):
        async with trio.open_nursery() as nursery:
            await nursery.start(server.serve)
            client = await connect(server)
            await gate.wait_inside(1)
            nursery.cancel_scope.cancel()
        async with client:
            assert await receive_all(client) == b""
            assert gate.passed == 0
            assert server.thread_limiter.borrowed_tokens == 1
            gate.open()
            await threads_ended(server)

    assert gate.passed == 1


async def test_an_abandoned_thread_may_go_on_using_everything() -> None:
    gate, outcomes = Gate(), list[object]()

    def use_all(handler: AnyHandler) -> None:
        gate.wait()
        for use in (
            partial(handler.wfile.write, b"too late"),
            handler.rfile.read,
            handler.server.shutdown,
            handler.server.server_close,
            handler.server.socket.accept,
        ):
            outcomes.append(attempt(use))

    server = threading_server(use_all, daemon_threads=True)
    with trio.fail_after(STUCK):
        async with trio.open_nursery() as nursery:
            await nursery.start(server.serve)
            client = await connect(server)
            await gate.wait_inside(1)
            nursery.cancel_scope.cancel()
        gate.open()
        await threads_ended(server)
        await client.aclose()

    assert outcomes == [BrokenPipeError, b"", None, None, OSError]


def attempt(use: Callable[[], object]) -> object:
    """Return what comes of *use*: its result, or the type of its error."""
    try:
        return use()
    except OSError as error:
        return type(error)


def test_a_thread_that_outlives_trio_is_told_so() -> None:
    gate, outcomes, sockets = Gate(), list[object](), list[object]()
    over = threading.Event()

    def use_late(handler: socketserver.StreamRequestHandler) -> None:
        gate.wait()
        try:
            handler.server.shutdown()
        except trio.RunFinishedError as error:
            outcomes.append(type(error))

    class Server(ThreadingTCPServer):
        daemon_threads = True

        def close_request(self, request: object) -> None:  # type: ignore[override]  # in a thread
            super().close_request(request)  # type: ignore[unused-coroutine]  # as above
            sockets.append(request)
            over.set()

    async def main() -> None:
        with trio.fail_after(STUCK):
            async with trio.open_nursery() as nursery:
                await nursery.start(server.serve)
                async with await connect(server):
                    await gate.wait_inside(1)
                    nursery.cancel_scope.cancel()

    server = Server(LOOPBACK, handling(use_late))
    trio.run(main)
    gate.open()

    assert over.wait(STUCK)
    wait_for_threads()
    assert outcomes == [trio.RunFinishedError]
    assert [sock.fileno() for sock in sockets] == [-1]  # type: ignore[attr-defined]  # they are


def test_what_an_abandoned_thread_awaits_ends_with_trio() -> None:
    waiting, outcomes = threading.Event(), list[object]()

    async def wait() -> None:
        waiting.set()
        await trio.sleep_forever()

    def wait_in_trio(_: object) -> None:
        try:
            trio.from_thread.run(wait)
        except trio.Cancelled as error:
            outcomes.append(type(error))
            raise

    async def main() -> None:
        with trio.fail_after(STUCK):
            async with trio.open_nursery() as nursery:
                await nursery.start(server.serve)
                async with await connect(server):
                    await eventually(waiting.is_set)
                    nursery.cancel_scope.cancel()

    server = threading_server(wait_in_trio, daemon_threads=True)
    trio.run(main)
    wait_for_threads()

    assert outcomes == [trio.Cancelled]


# Where it is called


@pytest.mark.parametrize("name", ["shutdown", "server_close"])
@pytest.mark.parametrize("daemon_threads", [False, True])
async def test_a_handler_may_stop_its_server(
    name: str, *, daemon_threads: bool
) -> None:
    def stop(handler: socketserver.StreamRequestHandler) -> None:
        handler.wfile.write(handler.rfile.readline().upper())
        getattr(handler.server, name)()

    server = threading_server(stop, daemon_threads=daemon_threads)
    with trio.fail_after(STUCK):
        async with trio.open_nursery() as nursery:
            await nursery.start(server.serve)
            async with await connect(server) as client:
                assert await ask(client, b"stop\n") == b"STOP\n"
                assert await receive_all(client) == b""
        await threads_ended(server)

    assert server.fileno() == -1


async def test_two_handlers_may_close_their_server_at_once() -> None:
    both = threading.Barrier(2)

    def close(handler: socketserver.StreamRequestHandler) -> None:
        both.wait(STUCK)
        handler.server.server_close()

    server = threading_server(close)
    with trio.fail_after(STUCK):
        async with trio.open_nursery() as nursery:
            await nursery.start(server.serve)
            async with await connect(server), await connect(server):
                pass

    assert server.thread_limiter.borrowed_tokens == 0


async def test_a_thread_of_a_handler_may_stop_the_server() -> None:
    """As python-lsp-server does."""

    def stop_elsewhere(handler: socketserver.StreamRequestHandler) -> None:
        thread = threading.Thread(target=handler.server.shutdown)
        thread.start()
        thread.join()

    server = threading_server(stop_elsewhere)
    with trio.fail_after(STUCK):
        async with trio.open_nursery() as nursery:
            await nursery.start(server.serve)
            async with await connect(server) as client:
                assert await receive_all(client) == b""

    assert server.fileno() == -1
