"""`verify_request` of an object, and how many requests run at once."""

from __future__ import annotations

import socketserver
import threading
from collections.abc import Callable, Iterator

import pytest
import trio
import trio.testing

from kit.driving import connect_blocking, driving, in_thread
from kit.journal_server import (
    Address,
    JournalServer,
    Request,
    ask,
    read_all,
)
from kit.serving import LOOPBACK, STUCK, eventually
from trioserver import serve_socketserver


class PickyServer(JournalServer):
    """Verifies as it is told."""

    verdict: Callable[[], bool]

    def verify_request(self, request: Request, client_address: Address) -> bool:
        self._note("verify_request")
        return self.verdict()


class ThreadingPickyServer(socketserver.ThreadingMixIn, PickyServer):
    """As above, with threads."""


picky = pytest.mark.parametrize("server_class", [PickyServer, ThreadingPickyServer])


@picky
async def test_a_request_that_is_not_verified_is_shut_down(
    server_class: type[PickyServer],
) -> None:
    server = server_class()
    server.verdict = lambda: False

    async with driving(server):
        with connect_blocking(server) as client:
            assert await in_thread(client.recv, 1) == b""

    assert server.hooks() == ["verify_request", "shutdown_request", "close_request"]


@picky
async def test_a_verify_request_that_raises_is_an_error_of_the_request(
    server_class: type[PickyServer],
) -> None:
    server = server_class()
    verdicts: Iterator[bool] = iter([True])
    server.verdict = lambda: next(verdicts)

    async with driving(server):
        assert await in_thread(ask, server) == b"HELLO\n"
        # The client hears of the end before the thread is done.
        await eventually(lambda: "close_request" in server.hooks())
        with connect_blocking(server) as client:
            assert await in_thread(client.recv, 1) == b""

    assert server.hooks()[-4:] == [
        "verify_request",
        "handle_error: StopIteration()",
        "shutdown_request",
        "close_request",
    ]


async def test_verify_request_runs_once_at_a_time() -> None:
    inside: list[int] = []
    seen: list[int] = []

    def verdict() -> bool:
        inside.append(1)
        seen.append(len(inside))
        inside.pop()
        return True

    server = ThreadingPickyServer()
    server.verdict = verdict
    server.socket.listen(50)

    async with driving(server):
        async with trio.open_nursery() as clients:
            for _ in range(20):
                clients.start_soon(in_thread, ask, server)

    assert seen == [1] * 20


async def test_a_cancellation_does_not_verify_those_that_wait() -> None:
    begun, gate = threading.Event(), threading.Event()

    def verdict() -> bool:
        begun.set()
        gate.wait(STUCK)
        return True

    server = ThreadingPickyServer()
    server.verdict = verdict

    with trio.fail_after(STUCK):
        with connect_blocking(server), connect_blocking(server):
            async with trio.open_nursery() as opener:
                async with trio.open_nursery() as nursery:
                    await nursery.start(serve_socketserver, server)
                    await in_thread(begun.wait)
                    await trio.testing.wait_all_tasks_blocked()
                    nursery.cancel_scope.cancel()
                    opener.start_soon(in_thread, gate.set)

    assert "finish_request" not in server.hooks()


def with_room(
    server_class: type[socketserver.TCPServer],
    handler: type[socketserver.BaseRequestHandler],
) -> socketserver.TCPServer:
    """Return a server whose queue has room for more than five clients.

    The others would try again after a second.
    """
    server = server_class(LOOPBACK, handler, bind_and_activate=False)
    server.request_queue_size = 50
    server.server_bind()
    server.server_activate()
    return server


class CountingHandler(socketserver.BaseRequestHandler):
    """Notes how many run at once, and answers when enough do."""

    inside = 0
    peak = 0
    lock = threading.Lock()
    enough = threading.Event()
    wanted = 1

    @classmethod
    def wanting(cls, count: int) -> type[CountingHandler]:
        """Return a handler class that wants *count* to run at once."""
        handler: type[CountingHandler] = type("Handler", (cls,), {"wanted": count})
        handler.enough = threading.Event()
        return handler

    def handle(self) -> None:
        cls = type(self)
        with cls.lock:
            cls.inside += 1
            cls.peak = max(cls.peak, cls.inside)
            if cls.inside == cls.wanted:
                cls.enough.set()
        cls.enough.wait(STUCK)
        self.request.sendall(b"done")
        with cls.lock:
            cls.inside -= 1


@pytest.mark.parametrize(
    ("server_class", "limit", "peak"),
    [
        (socketserver.TCPServer, None, 1),
        (socketserver.TCPServer, 3, 3),
        (socketserver.ThreadingTCPServer, None, 8),
        (socketserver.ThreadingTCPServer, 2, 2),
    ],
)
async def test_as_many_requests_run_at_once_as_the_object_is_used_to(
    server_class: type[socketserver.TCPServer], limit: int | None, peak: int
) -> None:
    handler = CountingHandler.wanting(peak)
    replies: list[bytes] = []

    def fetch(server: socketserver.TCPServer) -> None:
        with connect_blocking(server) as client:
            replies.append(read_all(client))

    server = with_room(server_class, handler)
    async with driving(server, max_concurrent_requests=limit):
        async with trio.open_nursery() as clients:
            for _ in range(8):
                clients.start_soon(in_thread, fetch, server)

    assert replies == [b"done"] * 8
    assert handler.peak == peak
