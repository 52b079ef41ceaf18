"""Requests, handlers and listeners that are out of the ordinary."""

from __future__ import annotations

import contextvars
import errno
import logging
import os
import socket
import socketserver
import ssl
import sys

import pytest
import trio
import trio.lowlevel
import trio.testing

from kit.serving import (
    LOOPBACK,
    STUCK,
    UpperHandler,
    ask,
    connect,
    eventually,
    receive_all,
    serving,
)
from trioserver import (
    StreamRequestHandler,
    TCPServer,
)


@pytest.fixture
def server() -> TCPServer:
    return TCPServer(LOOPBACK, UpperHandler)


async def test_a_far_deadline_does_not_cut_a_slow_upload_off() -> None:
    class Hasty(StreamRequestHandler):
        async def handle(self) -> None:
            await self.wfile.write(b"no\n")

    async with serving(TCPServer(LOOPBACK, Hasty)) as server:
        async with await connect(server) as client:
            for _ in range(20):
                await client.send_all(b"x" * 1000)
                await trio.sleep(0.002)
            assert await receive_all(client) == b"no\n"


async def test_a_full_server_does_not_linger_for_its_slots() -> None:
    class Hasty(StreamRequestHandler):
        async def handle(self) -> None:
            await self.wfile.write(b"next\n")

    server = TCPServer(LOOPBACK, Hasty)
    server.max_concurrent_requests = 1
    server.linger_timeout = 2 * STUCK
    async with serving(server):
        clients = [await connect(server) for _ in range(3)]
        replies = [await receive_all(client) for client in clients]
        for client in clients:
            await client.aclose()

    assert replies == [b"next\n"] * 3


async def test_a_stream_that_cannot_be_closed_harms_nobody() -> None:
    class Broken(trio.abc.AsyncResource):
        async def aclose(self) -> None:
            raise OSError(errno.EIO, "cannot")

    class Odd(TCPServer):
        given = 0

        async def get_request(self) -> tuple[object, object]:
            self.given += 1
            if self.given == 1:
                return Broken(), "nowhere"
            return await super().get_request()

    def handle(request: object, client_address: object, server: object) -> object:
        if isinstance(request, Broken):
            raise TypeError
        return UpperHandler(request, client_address, server)

    async with serving(Odd(LOOPBACK, handle)) as server:
        async with await connect(server) as client:
            assert await ask(client, b"alive\n") == b"ALIVE\n"


async def test_a_stream_whose_close_waits_is_closed_in_time() -> None:
    class Waiting(trio.abc.AsyncResource):
        async def aclose(self) -> None:
            await trio.sleep_forever()

    class Odd(TCPServer):
        linger_timeout = 0.01
        given = 0

        async def get_request(self) -> tuple[object, object]:
            self.given += 1
            if self.given > 1:
                await trio.sleep_forever()
            return Waiting(), "nowhere"

        async def verify_request(self, request: object, client_address: object) -> bool:
            return False

    async with serving(Odd(LOOPBACK, UpperHandler)) as server:
        await eventually(lambda: server.given and not server.requests_in_flight)


async def test_an_error_in_shutdown_request_beside_a_cancellation_is_handled() -> None:
    errors: list[BaseException | None] = []
    entered = trio.Event()

    class Odd(TCPServer):
        async def verify_request(self, request: object, client_address: object) -> bool:
            return False

        async def shutdown_request(self, request: object) -> None:
            await super().shutdown_request(request)
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self.fail_late)
                entered.set()

        async def fail_late(self) -> None:
            try:
                await trio.sleep_forever()
            finally:
                raise ValueError

        async def handle_error(self, request: object, client_address: object) -> None:
            errors.append(sys.exception())

    server = Odd(LOOPBACK, UpperHandler)
    server.daemon_requests = True
    server.cleanup_timeout = 0.01
    server.linger_timeout = 0.01
    with trio.fail_after(STUCK):
        async with trio.open_nursery() as nursery:
            await nursery.start(server.serve)
            async with await connect(server):
                await entered.wait()
                await server.server_close()

    assert all(isinstance(error, ValueError | ExceptionGroup) for error in errors)
    assert errors


async def test_a_shortage_is_logged_once_for_many_calls_of_handle_request(
    autojump_clock: trio.testing.MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    class Short(TCPServer):
        async def get_request(self) -> tuple[object, object]:
            raise OSError(errno.EMFILE, "full")

    with Short(LOOPBACK, UpperHandler) as server:
        for _ in range(9):
            await server.handle_request()

    assert len(caplog.records) == 1


async def test_a_failed_handle_request_lets_others_run() -> None:
    class Flaky(TCPServer):
        async def get_request(self) -> tuple[object, object]:
            raise OSError(errno.ECONNABORTED, "gone")

    with Flaky(LOOPBACK, UpperHandler) as server:
        with trio.testing.assert_checkpoints():
            await server.handle_request()


async def test_a_bad_socket_option_is_about_the_new_connection() -> None:
    class Flaky(TCPServer):
        tries = 0

        async def get_request(self) -> tuple[object, object]:
            self.tries += 1
            if self.tries == 1:
                raise OSError(errno.EINVAL, "setsockopt")
            return await super().get_request()

    async with serving(Flaky(LOOPBACK, UpperHandler)) as server:
        async with await connect(server) as client:
            assert await ask(client, b"alive\n") == b"ALIVE\n"


async def test_an_error_of_the_handlers_own_upstream_is_heard_of(
    caplog: pytest.LogCaptureFixture,
) -> None:
    class Upstream(StreamRequestHandler):
        async def handle(self) -> None:
            message = "the database is down"
            raise ConnectionRefusedError(message)

    async with serving(TCPServer(LOOPBACK, Upstream)) as server:
        async with await connect(server) as client:
            await receive_all(client)

    (record,) = caplog.records
    assert record.levelno == logging.ERROR
    assert "the database is down" in (record.exc_text or "")


async def test_a_reply_that_is_not_taken_in_time_is_heard_of(
    caplog: pytest.LogCaptureFixture,
) -> None:
    class Buffered(StreamRequestHandler):
        wbufsize = 10**8
        timeout = 0.01

        async def handle(self) -> None:
            await self.wfile.write(b"x" * 50_000_000)

    caplog.set_level(logging.INFO, "trioserver")
    server = TCPServer(LOOPBACK, Buffered)
    server.linger_timeout = 0.01
    async with serving(server):
        async with await connect(server):
            await eventually(lambda: caplog.records)

    assert "sending took longer than 0.01 s" in caplog.text


async def test_queued_requests_inherit_the_context_of_the_server() -> None:
    number = contextvars.ContextVar("number", default="none")
    seen: list[str] = []

    class Noting(StreamRequestHandler):
        async def handle(self) -> None:
            seen.append(number.get())
            number.set("of a request")
            await self.rfile.readline()
            await self.server.server_close()

    server = TCPServer(LOOPBACK, Noting)
    server.max_concurrent_requests = 1
    with trio.fail_after(STUCK):
        async with trio.open_nursery() as nursery:
            number.set("of the server")
            await nursery.start(server.serve)
            first, second = await connect(server), await connect(server)
            for client in (first, second):
                await client.send_all(b"close\n")
            for client in (second, first):
                async with client:
                    await receive_all(client)

    assert seen == ["of the server"] * 2


async def test_a_forked_child_leaves_the_queue_to_its_parent(
    server: TCPServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    with server.socket.dup() as parents, trio.fail_after(STUCK):
        async with trio.open_nursery() as nursery:
            await nursery.start(server.serve)
            monkeypatch.setattr(os, "getpid", lambda: -1)  # as if in another process
            await server.shutdown()

        # The queue has kept its length: with none, the second client would be dropped.
        address = parents.getsockname()
        clients = [socket.create_connection(address, STUCK) for _ in range(3)]
        for client in clients:
            client.close()


async def test_a_listener_that_is_wrapped_for_tls_is_refused(server: TCPServer) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.socket = context.wrap_socket(server.socket, server_side=True)

    server.socket.settimeout(STUCK)
    with server, pytest.raises(TypeError, match="leave it plain"):
        await server.serve_forever()


async def test_a_handler_with_a_bad_limit_is_refused_with_the_server() -> None:
    class Unlimited(UpperHandler):
        max_line_bytes = None  # type: ignore[assignment]  # that is the test

    with pytest.raises(TypeError, match="max_line_bytes must be"):
        TCPServer(LOOPBACK, Unlimited)


@pytest.mark.parametrize("name", ["server_bind", "server_activate"])
def test_an_asynchronous_bind_is_refused(name: str) -> None:
    async def hook(self: TCPServer) -> None:
        """Nobody could wait for this."""

    with pytest.raises(TypeError, match="hook must be a plain function"):
        type("Async", (TCPServer,), {name: hook})(LOOPBACK, UpperHandler)


def test_a_mix_in_of_the_standard_library_is_refused() -> None:
    class Left(socketserver.ThreadingMixIn, TCPServer):  # type: ignore[misc]  # wrong
        """As it stood before."""

    with pytest.raises(
        TypeError, match=r"Left derives .*: take trioserver\.ThreadingM"
    ):
        Left(LOOPBACK, UpperHandler)


async def test_shutdown_from_another_run_is_refused_with_the_way_to_do_it(
    server: TCPServer,
) -> None:
    async with serving(server):
        with pytest.raises(RuntimeError, match="trio_token=token"):
            await trio.to_thread.run_sync(trio.run, server.shutdown)
