"""The end of a connection, from a thread: the client gets the whole reply."""

from __future__ import annotations

import logging
import socket
import socketserver
import threading

import pytest
import trio

from kit.serving import (
    LOOPBACK,
    STUCK,
    connect,
    eventually,
    receive_all,
    reset_on_close,
    serving,
)
from kit.threads import AnyHandler, handling, threading_server, threads_ended
from trioserver import ThreadingTCPServer, ThreadingUnixStreamServer

REPLY = bytes(200_000)


class ReplyHandler(socketserver.BaseRequestHandler):
    """Replies to the first byte, whatever else is sent."""

    def handle(self) -> None:
        self.request.recv(1)
        self.request.sendall(REPLY)


async def test_a_client_that_sends_more_than_is_read_gets_the_whole_reply() -> None:
    async with serving(ThreadingTCPServer(LOOPBACK, ReplyHandler)) as server:
        async with await connect(server) as client:
            await client.send_all(bytes(100_000))
            assert await receive_all(client) == REPLY


async def test_a_client_that_goes_on_sending_gets_the_whole_reply() -> None:
    async with serving(ThreadingTCPServer(LOOPBACK, ReplyHandler)) as server:
        async with await connect(server) as client:
            reply = b""
            async with trio.open_nursery() as nursery:
                nursery.start_soon(client.send_all, bytes(1_000_000))
                reply = await receive_all(client)
            assert reply == REPLY


async def test_lingering_is_bounded_in_time() -> None:
    server = threading_server(lambda _: None, linger_timeout=0.01)
    async with serving(server):
        async with await connect(server) as client:
            assert await receive_all(client) == b""
            # The client stays open, and the thread ends all the same.
            await threads_ended(server)


async def send_for_ever(client: trio.SocketStream) -> None:
    """Send until the connection breaks."""
    while True:
        await client.send_all(bytes(100_000))


async def test_lingering_is_bounded_in_size() -> None:
    server = threading_server(
        lambda _: None, max_linger_bytes=100_000, linger_timeout=STUCK
    )
    async with serving(server):
        async with await connect(server) as client:
            with pytest.raises(trio.BrokenResourceError):
                await send_for_ever(client)


@pytest.mark.parametrize("limit", ["max_concurrent_requests", "max_threads"])
async def test_lingering_ends_early_where_others_wait_for_the_thread(
    limit: str,
) -> None:
    settings: dict[str, object] = {limit: 1, "linger_timeout": STUCK}
    server = threading_server(lambda _: None, **settings)
    async with serving(server):
        async with await connect(server) as first:
            assert await receive_all(first) == b""
            async with await connect(server) as second:
                assert await receive_all(second) == b""


async def test_lingering_ends_when_the_server_is_cancelled() -> None:
    server = threading_server(lambda _: None, linger_timeout=STUCK * 2)
    with trio.fail_after(STUCK):
        async with trio.open_nursery() as nursery:
            await nursery.start(server.serve)
            client = await connect(server)
            assert await receive_all(client) == b""
            nursery.cancel_scope.cancel()
        await client.aclose()

    assert server.thread_limiter.borrowed_tokens == 0


@pytest.mark.parametrize("wbufsize", [0, -1])
async def test_a_client_that_is_gone_is_no_trouble(
    wbufsize: int, caplog: pytest.LogCaptureFixture
) -> None:
    begun, go_on = threading.Event(), threading.Event()

    def write(handler: AnyHandler) -> None:
        begun.set()
        assert go_on.wait(STUCK)
        handler.wfile.write(REPLY)

    caplog.set_level(logging.INFO, "trioserver")
    handler = handling(write)
    handler.wbufsize = wbufsize  # type: ignore[attr-defined]  # it is for streams
    async with serving(ThreadingTCPServer(LOOPBACK, handler)) as server:
        async with await connect(server) as client:
            await eventually(begun.is_set)
            reset_on_close(client)
        go_on.set()
        await eventually(lambda: not server.requests_in_flight)

    assert caplog.records == []
    assert server.thread_limiter.borrowed_tokens == 0


@pytest.mark.parametrize("close", ["close", "detach"])
async def test_a_handler_may_close_its_request_itself(
    close: str, caplog: pytest.LogCaptureFixture
) -> None:
    def close_early(handler: AnyHandler) -> None:
        handler.rfile.close()
        if close == "close":
            handler.request.close()
        else:
            socket.close(handler.request.detach())

    async with serving(threading_server(close_early)) as server:
        async with await connect(server) as client:
            assert await receive_all(client) == b""

    assert caplog.records == []


async def test_an_override_may_keep_the_connection_open() -> None:
    """As those do that hand it on to somebody else."""
    kept: list[socket.socket] = []

    class Keeping(ThreadingTCPServer):
        def shutdown_request(self, request: socket.socket) -> None:  # type: ignore[override]  # in a thread
            kept.append(request)

    async with serving(Keeping(LOOPBACK, handling(lambda _: None))) as server:
        async with await connect(server) as client:
            await eventually(lambda: kept and not server.requests_in_flight)
            with kept[0] as connection:
                connection.sendall(b"still here")
            assert await receive_all(client) == b"still here"


async def test_what_was_accepted_too_late_is_closed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """No thread will ever close it."""

    def refuse(*_: object) -> None:
        message = "no request can be started"
        raise trio.ClosedResourceError(message)

    server = threading_server(lambda _: None)
    monkeypatch.setattr(type(server._requests), "start", refuse)
    with trio.fail_after(STUCK):
        async with await connect(server) as client:
            with pytest.raises(trio.ClosedResourceError, match="no request can"):
                await server.serve()
            assert await receive_all(client) == b""


async def test_a_unix_connection_is_closed_as_any_other(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    path = tmp_path_factory.mktemp("unix") / "socket"
    async with serving(ThreadingUnixStreamServer(path, ReplyHandler)) as server:
        async with await connect(server) as client:
            await client.send_all(b"more than one byte")
            assert await receive_all(client) == REPLY


async def test_errors_of_closing_by_force_are_logged(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Broken(socket.socket):
        def close(self) -> None:
            super().close()
            message = "an old error"
            raise OSError(message)

    class Server(ThreadingTCPServer):
        async def verify_request(self, request: socket.socket, _: object) -> bool:
            return False

        def close_request(self, request: object) -> None:  # type: ignore[override]  # in a thread
            raise ValueError

        def _stream_request(self, sock: socket.socket) -> object:
            return Broken(fileno=sock.detach())

    caplog.set_level(logging.DEBUG, "trioserver")
    async with serving(Server(LOOPBACK, ReplyHandler)) as server:
        async with await connect(server) as client:
            assert await receive_all(client) == b""

    assert "Closing a request by force said OSError: an old error" in caplog.text


class Wrapped:
    """A connection in a wrapping of the user's."""

    def __init__(self, sock: socket.socket) -> None:
        self.socket = sock

    def close(self) -> None:
        """Close the connection."""
        self.socket.close()


async def test_a_request_may_be_something_else_that_can_be_closed() -> None:
    class Server(ThreadingTCPServer):
        async def get_request(self) -> tuple[object, object]:
            sock, client_address = await super().get_request()
            return Wrapped(sock), client_address

    def greet(request: Wrapped, *_: object) -> None:
        request.socket.sendall(b"hello")

    async with serving(Server(LOOPBACK, greet)) as server:
        async with await connect(server) as client:
            assert await receive_all(client) == b"hello"
