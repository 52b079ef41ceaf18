"""The object's own hooks are called: which of them, where, and what if they fail."""

from __future__ import annotations

import errno
import queue
import socket
import socketserver
import ssl
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import partial
from pathlib import Path

import pytest
import trio
import trio.testing
import trustme

from kit.descriptors import no_more_descriptors
from kit.driving import connect_blocking, driving, in_thread
from kit.serving import LOOPBACK, STUCK, eventually
from trioserver import ListenerBrokenError, serve_socketserver

Address = object
Request = socket.socket | tuple[bytes, socket.socket]


class UpperHandler(socketserver.StreamRequestHandler):
    """Answers each line in upper case."""

    def handle(self) -> None:
        for line in self.rfile:
            self.wfile.write(line.upper())


class FailingHandler(socketserver.StreamRequestHandler):
    """Fails with what its server has for it."""

    server: JournalServer

    def handle(self) -> None:
        self.rfile.readline()
        raise self.server.error


class JournalServer(socketserver.TCPServer):
    """Notes which hook was called in which thread."""

    error: BaseException = ValueError("handle")

    def __init__(
        self, handler: type[socketserver.BaseRequestHandler] = UpperHandler
    ) -> None:
        self.journal: list[tuple[str, int]] = []
        super().__init__(LOOPBACK, handler)

    def hooks(self) -> list[str]:
        return [hook for hook, _ in self.journal]

    def threads_of(self, *hooks: str) -> set[int]:
        return {thread for hook, thread in self.journal if hook in hooks}

    def _note(self, hook: str) -> None:
        self.journal.append((hook, threading.get_ident()))

    def finish_request(self, request: Request, client_address: Address) -> None:
        self._note("finish_request")
        super().finish_request(request, client_address)

    def handle_error(self, request: Request, client_address: Address) -> None:
        self._note(f"handle_error: {sys.exception()!r}")

    def shutdown_request(self, request: Request) -> None:
        self._note("shutdown_request")
        super().shutdown_request(request)

    def close_request(self, request: Request) -> None:
        self._note("close_request")
        super().close_request(request)


class ThreadingJournalServer(socketserver.ThreadingMixIn, JournalServer):
    """As above, with threads."""


JOURNALS = [JournalServer, ThreadingJournalServer]
both = pytest.mark.parametrize("server_class", JOURNALS)


def ask(server: socketserver.TCPServer) -> bytes:
    """Ask once, and return everything up to the end."""
    with connect_blocking(server) as client:
        client.sendall(b"hello\n")
        client.shutdown(socket.SHUT_WR)
        return read_all(client)


def talk(client: socket.socket) -> bytes:
    """Send a line, and return what comes back."""
    client.sendall(b"hello\n")
    return client.recv(10)


def read_all(client: socket.socket) -> bytes:
    return b"".join(iter(partial(client.recv, 1000), b""))


# Requests


@both
async def test_a_request_is_processed_in_one_thread(
    server_class: type[JournalServer],
) -> None:
    async with driving(server_class()) as server:
        assert await in_thread(ask, server) == b"HELLO\n"

    hooks = ["finish_request", "shutdown_request", "close_request"]
    assert server.hooks() == hooks
    (thread,) = server.threads_of(*hooks)
    assert thread != threading.get_ident()


@both
async def test_what_a_handler_raises_is_handled_by_the_object_in_that_thread(
    server_class: type[JournalServer],
) -> None:
    async with driving(server_class(FailingHandler)) as server:
        assert await in_thread(ask, server) == b""
        assert await in_thread(ask, server) == b""

    hooks = [
        "finish_request",
        "handle_error: ValueError('handle')",
        "shutdown_request",
        "close_request",
    ]
    assert server.hooks() == hooks * 2
    assert threading.get_ident() not in server.threads_of(*hooks)


class RaisingServer(JournalServer):
    """Re-raises, as those do that want to see errors."""

    def handle_error(self, request: Request, client_address: Address) -> None:
        raise  # noqa: PLE0704  # what this is about


class ThreadingRaisingServer(socketserver.ThreadingMixIn, RaisingServer):
    """As above, with threads."""


@pytest.mark.parametrize("server_class", [RaisingServer, ThreadingRaisingServer])
async def test_what_handle_error_raises_ends_serving_and_the_client_hears_of_it(
    server_class: type[JournalServer],
) -> None:
    server = server_class(FailingHandler)
    with trio.fail_after(STUCK):
        with connect_blocking(server) as client:
            client.sendall(b"hello\n")
            with pytest.raises(ValueError, match="handle"):
                await serve_socketserver(server)
            assert client.recv(1) == b""


@both
@pytest.mark.parametrize("error", [SystemExit(3), KeyboardInterrupt()])
async def test_what_is_no_exception_ends_serving_as_itself(
    server_class: type[JournalServer], error: BaseException
) -> None:
    server = server_class(FailingHandler)
    server.error = error
    with trio.fail_after(STUCK):
        with connect_blocking(server) as client:
            client.sendall(b"hello\n")
            with pytest.raises(type(error)) as caught:
                await serve_socketserver(server)

    assert caught.value is error
    assert server.hooks() == ["finish_request", "shutdown_request", "close_request"]


async def test_process_request_thread_may_be_overridden() -> None:
    class OwnThreadServer(ThreadingJournalServer):
        def process_request_thread(
            self, request: Request, client_address: Address
        ) -> None:
            self._note("process_request_thread")
            super().process_request_thread(request, client_address)

    async with driving(OwnThreadServer()) as server:
        assert await in_thread(ask, server) == b"HELLO\n"

    assert server.hooks()[:2] == ["process_request_thread", "finish_request"]


class LimitedServer(ThreadingJournalServer):
    """Limits its threads, in the way that is often seen."""

    def __init__(self) -> None:
        self.places = threading.Semaphore(1)
        self.outer: list[int] = []
        super().__init__()

    def process_request(self, request: Request, client_address: Address) -> None:
        self.outer.append(threading.get_ident())
        self.places.acquire()
        super().process_request(request, client_address)

    def process_request_thread(self, request: Request, client_address: Address) -> None:
        with suppress(OSError):
            super().process_request_thread(request, client_address)
        self.places.release()


async def test_a_thread_that_process_request_starts_is_waited_for() -> None:
    async with driving(LimitedServer()) as server:
        with connect_blocking(server) as client:
            client.sendall(b"hello\n")
            assert await in_thread(client.recv, 10) == b"HELLO\n"
            await in_thread(server.shutdown)
            client.sendall(b"again\n")
            assert await in_thread(client.recv, 10) == b"AGAIN\n"

    assert server.hooks()[-1] == "close_request"
    assert server.threads_of("close_request").isdisjoint(server.outer)


async def test_a_thread_that_process_request_starts_is_interrupted() -> None:
    with trio.fail_after(STUCK):
        async with trio.open_nursery() as nursery:
            server = await nursery.start(serve_socketserver, LimitedServer())
            with connect_blocking(server) as client:
                client.sendall(b"hello\n")
                assert await in_thread(client.recv, 10) == b"HELLO\n"
                nursery.cancel_scope.cancel()
    assert server.hooks()[-1] == "close_request"


async def test_a_thread_that_cannot_be_started_is_an_error_of_the_request(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def fail(_thread: threading.Thread) -> None:
        message = "can't start new thread"
        raise RuntimeError(message)

    async with driving(LimitedServer()) as server:
        # Trio keeps a worker for the next request, so that this hits the other one.
        with monkeypatch.context() as patch:
            patch.setattr(threading.Thread, "start", fail)
            with connect_blocking(server) as client:
                await eventually(lambda: "close_request" in server.hooks())
                assert client.recv(1) == b""

    assert "handle_error: RuntimeError" in server.hooks()[0]


class PoolServer(JournalServer):
    """Hands its requests on to a thread of its own."""

    def __init__(self) -> None:
        self.waiting: queue.SimpleQueue[tuple[Request, Address] | None]
        self.waiting = queue.SimpleQueue()
        self.pool = threading.Thread(target=self._work)
        super().__init__()

    def process_request(self, request: Request, client_address: Address) -> None:
        self.waiting.put((request, client_address))

    def server_close(self) -> None:
        super().server_close()
        self.waiting.put(None)
        self.pool.join()

    def _work(self) -> None:
        while item := self.waiting.get():
            self.finish_request(*item)
            self.shutdown_request(item[0])


async def test_a_request_may_be_handed_on() -> None:
    server = PoolServer()
    server.pool.start()

    async with driving(server):
        assert await in_thread(ask, server) == b"HELLO\n"

    assert server.threads_of("finish_request") == {server.pool.ident}


# Verifying


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


# Limits


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


# Accepting


class TimingServer(JournalServer):
    """Gives its connections a time-out, and its addresses a form of their own."""

    def get_request(self) -> tuple[socket.socket, Address]:
        self._note("get_request")
        request, address = super().get_request()
        request.settimeout(STUCK)
        return request, ("seen", address)


class TimingHandler(UpperHandler):
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


async def test_a_listener_that_breaks_ends_serving() -> None:
    server = JournalServer()
    with trio.fail_after(STUCK):
        async with trio.open_nursery() as nursery:
            with pytest.RaisesGroup(ListenerBrokenError):
                async with trio.open_nursery() as serving:
                    await serving.start(serve_socketserver, server)
                    # As another process might that shares it.
                    server.socket.shutdown(socket.SHUT_RDWR)
            nursery.cancel_scope.cancel()


# Now and then


class BusyServer(JournalServer):
    """Has something to do beside."""

    error_beside: Exception | None = None

    def service_actions(self) -> None:
        self._note("service_actions")
        if self.error_beside is not None:
            raise self.error_beside


async def test_service_actions_is_called_now_and_then_in_a_thread() -> None:
    async with driving(BusyServer(), poll_interval=0.001) as server:
        await eventually(lambda: server.hooks().count("service_actions") > 2)
        assert await in_thread(ask, server) == b"HELLO\n"

    assert threading.get_ident() not in server.threads_of("service_actions")


async def test_what_service_actions_raises_ends_serving() -> None:
    server = BusyServer()
    server.error_beside = ValueError("beside")

    with trio.fail_after(STUCK):
        with pytest.raises(ValueError, match="beside"):
            await serve_socketserver(server, poll_interval=0.001)


# No thread to be had


async def test_without_threads_the_object_hears_of_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def no_threads(*args: object, **kwargs: object) -> None:
        await trio.lowlevel.checkpoint()
        message = "can't start new thread"
        raise RuntimeError(message)

    server = JournalServer()
    with trio.fail_after(STUCK):
        async with trio.open_nursery() as nursery:
            await nursery.start(serve_socketserver, server)
            with monkeypatch.context() as patch:
                patch.setattr(trio.to_thread, "run_sync", no_threads)
                with connect_blocking(server) as client:
                    await eventually(server.hooks)
                    assert client.recv(1) == b""
            await in_thread(server.shutdown)

    (hook,) = server.hooks()
    assert "handle_error: RuntimeError" in hook


# Datagrams


class DatagramUpperHandler(socketserver.DatagramRequestHandler):
    """Answers in upper case."""

    def handle(self) -> None:
        self.wfile.write(self.rfile.read().upper())


class SwitchingHandler(socketserver.BaseRequestHandler):
    """Makes the socket that it shares with all others blocking."""

    def handle(self) -> None:
        data, sock = self.request
        sock.setblocking(True)
        sock.sendto(data.upper(), self.client_address)


class NotingUDPServer(socketserver.UDPServer):
    """Looks at each datagram before anybody else does."""

    def get_request(self) -> tuple[tuple[bytes, socket.socket], Address]:  # type: ignore[override]  # as typeshed's own
        (data, sock), address = super().get_request()
        with pytest.raises(BlockingIOError):
            self.socket.recv(1)
        return (data, sock), address


def ask_datagram(server: socketserver.UDPServer) -> bytes:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
        client.settimeout(STUCK)
        client.connect(server.server_address)
        client.send(b"hello")
        return client.recv(10)


@pytest.mark.parametrize(
    "server_class",
    [socketserver.UDPServer, socketserver.ThreadingUDPServer, NotingUDPServer],
)
@pytest.mark.parametrize("handler", [DatagramUpperHandler, SwitchingHandler])
async def test_datagrams_are_answered(
    server_class: type[socketserver.UDPServer],
    handler: type[socketserver.BaseRequestHandler],
) -> None:
    async with driving(server_class(LOOPBACK, handler)) as server:
        for _ in range(3):
            assert await in_thread(ask_datagram, server) == b"HELLO"


class WaitingHandler(socketserver.BaseRequestHandler):
    """Looks at how long it may wait for room for its reply."""

    def handle(self) -> None:
        _, sock = self.request
        sock.sendto(repr(sock.gettimeout()).encode(), self.client_address)


async def test_a_reply_waits_for_room_without_making_the_socket_blocking() -> None:
    async with driving(socketserver.UDPServer(LOOPBACK, WaitingHandler)) as server:
        assert float(await in_thread(ask_datagram, server)) > STUCK


async def test_datagrams_are_handled_in_the_order_of_their_arrival() -> None:
    seen: list[bytes] = []
    all_seen = trio.Event()
    token = trio.lowlevel.current_trio_token()

    class OrderHandler(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            seen.append(self.request[0])
            if len(seen) == 50:
                token.run_sync_soon(all_seen.set)

    async with driving(socketserver.UDPServer(LOOPBACK, OrderHandler)) as server:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
            for number in range(50):
                client.sendto(b"%d" % number, server.server_address)
            await all_seen.wait()

    assert seen == [b"%d" % number for number in range(50)]


# Unix sockets


@pytest.mark.parametrize(
    "server_class",
    [socketserver.UnixStreamServer, socketserver.ThreadingUnixStreamServer],
)
async def test_unix_sockets_are_served(
    server_class: type[socketserver.UnixStreamServer], tmp_path: Path
) -> None:
    path = str(tmp_path / "socket")

    def ask_unix() -> bytes:
        with socket.socket(socket.AF_UNIX) as client:
            client.settimeout(STUCK)
            client.connect(path)
            client.sendall(b"hello\n")
            return client.recv(10)

    async with driving(server_class(path, UpperHandler)):
        assert await in_thread(ask_unix) == b"HELLO\n"
