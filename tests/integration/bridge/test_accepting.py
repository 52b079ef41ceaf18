"""Where an object's requests come from: `get_request`, and the listening socket."""

from __future__ import annotations

import errno
import os
import socket
import socketserver
import ssl
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
import trio
import trio.testing
import trustme

from kit.descriptors import no_more_descriptors
from kit.driving import connect_blocking, driving, in_thread
from kit.journal_server import (
    Address,
    JournalServer,
    ThreadingJournalServer,
    ask,
    talk,
)
from kit.serving import STUCK, eventually
from kit.threads import UpperThreadHandler
from trioserver import ListenerBrokenError, ServerClosedError, serve_socketserver


class TimingServer(JournalServer):
    """Gives its connections a time-out, and its addresses a form of their own."""

    def get_request(self) -> tuple[socket.socket, Address]:
        self._note("get_request")
        request, address = super().get_request()
        request.settimeout(STUCK)
        return request, ("seen", address)


class TimingHandler(UpperThreadHandler):
    """Looks at what has come."""

    def handle(self) -> None:
        assert self.request.gettimeout() == STUCK
        assert self.client_address[0] == "seen"
        super().handle()


async def test_get_request_may_be_overridden_and_runs_in_a_thread() -> None:
    async with driving(TimingServer(TimingHandler)) as server:
        assert await in_thread(ask, server) == b"HELLO\n"
        assert await in_thread(ask, server) == b"HELLO\n"

    assert threading.get_ident() not in server.threads_of("get_request")


class BadAcceptServer(JournalServer):
    """Fails to accept, sometimes."""

    errors: Iterator[Exception]

    def get_request(self) -> tuple[socket.socket, Address]:
        for error in self.errors:
            raise error
        return super().get_request()


async def test_an_oserror_of_get_request_is_one_clients() -> None:
    server = BadAcceptServer()
    server.errors = iter([ssl.SSLError("no TLS"), TimeoutError()])

    async with driving(server):
        for _ in range(2):
            with connect_blocking(server) as client:
                assert await in_thread(client.recv, 1) == b""
        assert await in_thread(ask, server) == b"HELLO\n"


async def test_any_other_error_of_get_request_ends_serving() -> None:
    server = BadAcceptServer()
    server.errors = iter([ValueError("get_request")])

    with trio.fail_after(STUCK):
        with connect_blocking(server) as client:
            with pytest.raises(ValueError, match="get_request"):
                await serve_socketserver(server)
            assert client.recv(1) == b""


async def test_get_request_cannot_accept_twice() -> None:
    class GreedyServer(JournalServer):
        def get_request(self) -> tuple[socket.socket, Address]:
            request = super().get_request()
            with pytest.raises(BlockingIOError):
                self.socket.accept()
            assert self.socket.getsockname() == self.server_address
            return request

    async with driving(GreedyServer()) as server:
        assert await in_thread(ask, server) == b"HELLO\n"


class HandshakeServer(JournalServer):
    """Does its handshakes in ``get_request``, as old recipes do."""

    context: ssl.SSLContext

    def get_request(self) -> tuple[socket.socket, Address]:
        connection, address = self.socket.accept()
        self._note("get_request")
        return self.context.wrap_socket(connection, server_side=True), address


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture
def handshake_server(authority: trustme.CA) -> Iterator[HandshakeServer]:
    with HandshakeServer() as server:
        server.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        authority.issue_cert("127.0.0.1").configure_cert(server.context)
        yield server


async def test_a_handshake_in_get_request_works(
    handshake_server: HandshakeServer, authority: trustme.CA
) -> None:
    def ask_with_tls() -> bytes:
        context = ssl.create_default_context()
        authority.configure_trust(context)
        with context.wrap_socket(
            connect_blocking(handshake_server), server_hostname="127.0.0.1"
        ) as client:
            client.sendall(b"hello\n")
            return client.recv(10)

    async with driving(handshake_server):
        assert await in_thread(ask_with_tls) == b"HELLO\n"


async def test_a_handshake_in_get_request_does_not_hold_up_a_cancellation(
    handshake_server: HandshakeServer,
) -> None:
    with trio.fail_after(STUCK):
        async with trio.open_nursery() as nursery:
            await nursery.start(serve_socketserver, handshake_server)
            with connect_blocking(handshake_server):
                await eventually(handshake_server.hooks)
                nursery.cancel_scope.cancel()


async def test_without_descriptors_it_pauses_and_tries_again(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async with driving(ThreadingJournalServer()) as server:
        with socket.socket() as client, connect_blocking(server) as before:
            client.settimeout(STUCK)
            assert await in_thread(talk, before) == b"HELLO\n"
            with no_more_descriptors():
                client.connect(server.server_address)
                await eventually(lambda: "Cannot accept requests" in caplog.text)
                assert await in_thread(talk, before) == b"HELLO\n"
            assert await in_thread(talk, client) == b"HELLO\n"

    assert "Accepting requests on" in caplog.text


async def test_a_connection_that_cannot_be_duplicated_is_closed(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async with driving(JournalServer()) as server:

        def fail(*args: object) -> socket.socket:
            raise OSError(errno.EMFILE, "too many")

        with monkeypatch.context() as patch:
            patch.setattr(socket, "dup", fail)
            with connect_blocking(server) as client:
                assert await in_thread(client.recv, 1) == b""
        assert await in_thread(ask, server) == b"HELLO\n"

    assert "Cannot accept requests" in caplog.text
    assert "Accepting requests on" in caplog.text


@pytest.mark.parametrize("family", [socket.AF_INET, socket.AF_UNIX])
async def test_a_listener_that_breaks_ends_serving(
    family: socket.AddressFamily, tmp_path: Path
) -> None:
    server: socketserver.TCPServer = JournalServer()
    if family == socket.AF_UNIX:
        server.server_close()
        server = socketserver.UnixStreamServer(
            str(tmp_path / "sock"), UpperThreadHandler
        )
    with trio.fail_after(STUCK):
        async with trio.open_nursery() as nursery:
            with pytest.RaisesGroup(ListenerBrokenError):
                async with trio.open_nursery() as serving:
                    await serving.start(serve_socketserver, server)
                    await trio.testing.wait_all_tasks_blocked()
                    # As another process might that shares it.
                    server.socket.shutdown(socket.SHUT_RDWR)
            nursery.cancel_scope.cancel()
    with pytest.raises(ServerClosedError):
        await serve_socketserver(server)


async def test_the_default_timeout_holds_for_connections() -> None:
    class DefaultHandler(UpperThreadHandler):
        def handle(self) -> None:
            self.wfile.write(repr(self.request.gettimeout()).encode())

    async with driving(JournalServer(DefaultHandler)) as server:
        socket.setdefaulttimeout(STUCK)
        try:
            reply = await in_thread(ask, server)
        finally:
            socket.setdefaulttimeout(None)

    assert float(reply) == STUCK


class SlowServer(JournalServer):
    """Takes its time to accept."""

    def __init__(self) -> None:
        self.begun = threading.Event()
        self.gate = threading.Event()
        super().__init__()

    def get_request(self) -> tuple[socket.socket, Address]:
        self.begun.set()
        self.gate.wait(STUCK)
        return super().get_request()


async def test_a_get_request_that_returns_after_a_cancellation_is_in_vain() -> None:
    server = SlowServer()
    with trio.fail_after(STUCK):
        with connect_blocking(server) as client:
            async with trio.open_nursery() as opener:
                async with trio.open_nursery() as nursery:
                    await nursery.start(serve_socketserver, server)
                    await in_thread(server.begun.wait)
                    nursery.cancel_scope.cancel()
                    opener.start_soon(in_thread, server.gate.set)
            assert client.recv(1) == b""

    assert server.hooks() == []


async def test_a_get_request_that_finds_its_socket_closed_ends_serving() -> None:
    server = SlowServer()
    with trio.fail_after(STUCK):
        with connect_blocking(server) as client:
            async with trio.open_nursery() as nursery:
                await nursery.start(serve_socketserver, server)
                await in_thread(server.begun.wait)
                stand_in = server.socket
                server.server_close()
                await eventually(lambda: server.socket is not stand_in)
                server.gate.set()
            assert client.recv(1) == b""


@pytest.fixture
def blocking_accepts(monkeypatch: pytest.MonkeyPatch) -> list[bool]:
    """Whether each accept could have blocked; none does, so that the test goes on."""
    original = socket.socket.accept
    seen: list[bool] = []

    def accept(sock: socket.socket) -> tuple[socket.socket, object]:
        seen.append(os.get_blocking(sock.fileno()))
        sock.setblocking(False)
        return original(sock)

    monkeypatch.setattr(socket.socket, "accept", accept)
    return seen


class SwitchingHandler(UpperThreadHandler):
    """Makes the listening socket blocking, which socketserver's own loop expects."""

    def handle(self) -> None:
        self.server.socket.settimeout(None)  # type: ignore[attr-defined]  # it has one
        super().handle()


async def test_a_handler_that_makes_the_listener_blocking_blocks_nobody(
    blocking_accepts: list[bool],
) -> None:
    async with driving(ThreadingJournalServer(SwitchingHandler)) as server:
        for _ in range(2):
            assert await in_thread(ask, server) == b"HELLO\n"
            await trio.testing.wait_all_tasks_blocked()

    assert blocking_accepts
    assert not any(blocking_accepts)


@pytest.mark.parametrize("close", [True, False])
async def test_an_object_that_ends_blocks_nobody_who_shares_its_listener(
    blocking_accepts: list[bool], *, close: bool
) -> None:
    async with driving(ThreadingJournalServer()) as server:
        other = ThreadingJournalServer()
        other.socket.close()
        # As a worker has it that was forked.
        other.socket = server.socket.dup()
        async with driving(other, close=close):
            pass
        is_blocking = os.get_blocking(server.fileno())
        for _ in range(2):
            assert await in_thread(ask, server) == b"HELLO\n"
        other.server_close()

    assert not any(blocking_accepts)
    # Who goes on with its socket gets it back as it was.
    assert is_blocking is not close
