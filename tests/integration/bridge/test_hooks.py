"""The object's own hooks are called: which of them, where, and what if they fail."""

from __future__ import annotations

import errno
import logging
import os
import queue
import socket
import socketserver
import threading
from collections.abc import Callable
from contextlib import suppress

import pytest
import trio
import trio.testing

from kit.driving import connect_blocking, driving, in_thread
from kit.journal_server import (
    Address,
    JournalServer,
    Request,
    ThreadingJournalServer,
    ask,
    listen,
)
from kit.serving import LOOPBACK, STUCK, eventually
from kit.threads import UpperThreadHandler
from trioserver import serve_socketserver


class FailingHandler(socketserver.StreamRequestHandler):
    """Fails with what its server has for it."""

    server: JournalServer

    def handle(self) -> None:
        self.rfile.readline()
        raise self.server.error


JOURNALS = [JournalServer, ThreadingJournalServer]
both = pytest.mark.parametrize("server_class", JOURNALS)


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
    hooks = [
        "finish_request",
        "handle_error: ValueError('handle')",
        "shutdown_request",
        "close_request",
    ]
    async with driving(server_class(FailingHandler)) as server:
        assert await in_thread(ask, server) == b""
        # The client hears of the end before the thread is done.
        await eventually(lambda: len(server.hooks()) == len(hooks))
        assert await in_thread(ask, server) == b""

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


class BadlyClosingServer(JournalServer):
    """Hears of trouble whenever it has closed a connection."""

    def close_request(self, request: Request) -> None:
        super().close_request(request)
        raise OSError(errno.EIO, os.strerror(errno.EIO))


class ThreadingBadlyClosingServer(socketserver.ThreadingMixIn, BadlyClosingServer):
    """As above, with threads."""


class BadlyClosingSocket(socket.socket):
    """Says at its close what close(2) may say."""

    def close(self) -> None:
        super().close()
        raise OSError(errno.EIO, os.strerror(errno.EIO))


class BadSocketServer(socketserver.TCPServer):
    """Accepts sockets that close badly."""

    def __init__(self) -> None:
        super().__init__(LOOPBACK, UpperThreadHandler)

    def get_request(self) -> tuple[socket.socket, Address]:
        sock, address = super().get_request()
        return BadlyClosingSocket(fileno=sock.detach()), address


class ThreadingBadSocketServer(socketserver.ThreadingMixIn, BadSocketServer):
    """As above, with threads."""


@pytest.mark.parametrize(
    ("server_class", "level"),
    [
        (BadlyClosingServer, "ERROR"),
        (ThreadingBadlyClosingServer, "ERROR"),
        (BadSocketServer, "DEBUG"),
        (ThreadingBadSocketServer, "DEBUG"),
    ],
)
@pytest.mark.parametrize("verifies", [True, False])
async def test_what_a_close_says_ends_no_server(
    server_class: Callable[[], socketserver.TCPServer],
    level: str,
    *,
    verifies: bool,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.DEBUG, "trioserver")
    monkeypatch.setattr(server_class, "verify_request", lambda *_: verifies)
    # One that says something to a server that does not listen may be reset instead.
    client, reply = (ask, b"HELLO\n") if verifies else (listen, b"")
    async with driving(server_class()) as server:
        assert await in_thread(client, server) == reply
        assert await in_thread(client, server) == reply

    assert "Shutting a request down said OSError: [Errno 5]" in caplog.text
    assert {record.levelname for record in caplog.records} == {level}
    assert all(bool(record.exc_info) == (level == "ERROR") for record in caplog.records)


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


class ExplainingServer(ThreadingJournalServer):
    """Tells its clients at length what has gone wrong."""

    failure: OSError | None = None

    def handle_error(self, request: Request, client_address: Address) -> None:
        assert isinstance(request, socket.socket)
        request.settimeout(STUCK / 4)  # if it waits, the test shall fail
        try:
            request.sendall(bytes(1 << 24))
        except OSError as error:
            self.failure = error
            raise


async def test_without_a_thread_handle_error_waits_for_no_client(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(*_: object) -> None:
        message = "can't start new thread"
        raise RuntimeError(message)

    async with driving(ExplainingServer()) as server:
        with monkeypatch.context() as patch:
            patch.setattr(trio._threads, "start_thread_soon", fail)
            client = await trio.open_tcp_stream(*server.server_address)
            assert await client.receive_some() == b""
            await client.aclose()
        # And what it cannot do without its client does not end the server.
        assert await in_thread(ask, server) == b"HELLO\n"

    assert isinstance(server.failure, BrokenPipeError)
    assert "RuntimeError: can't start new thread" in caplog.text


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
