"""Hooks of a request that no thread has: where they run, and what waits there."""

from __future__ import annotations

import errno
import os
import socket
import sys
import threading
from contextlib import suppress

import pytest
import trio

from kit.serving import LOOPBACK, STUCK, ask, connect, eventually, receive_all, serving
from kit.threads import Gate, UpperThreadHandler, handling
from trioserver import ThreadingTCPServer

# Seconds after which a hook that waits gives up, so that the test fails.
GIVE_UP = STUCK / 4

# More than any send buffer has room for.
LONG = bytes(1 << 24)


class PoliteServer(ThreadingTCPServer):
    """Closes no connection before its client has, and has one thread."""

    max_threads = 1

    def __init__(self) -> None:
        self.gate = Gate()
        self.begun: list[socket.socket] = []
        self.ends: list[bytes | None] = []
        super().__init__(LOOPBACK, handling(lambda _: self.gate.wait()))

    def close_request(self, request: socket.socket) -> None:  # type: ignore[override]  # in a thread
        self.begun.append(request)
        request.settimeout(GIVE_UP)
        received: bytes | None = None
        with suppress(TimeoutError):
            received = request.recv(1)
        self.ends.append(received)
        super().close_request(request)  # type: ignore[unused-coroutine]  # as above

    async def open_gate_after_an_end(self) -> None:
        await eventually(lambda: self.ends)
        self.gate.open()


@pytest.mark.parametrize("how", ["cancel", "drain"])
async def test_to_close_what_waits_for_a_thread_waits_for_no_client(how: str) -> None:
    server = PoliteServer()
    with trio.fail_after(STUCK):
        async with await connect(server), await connect(server):
            async with trio.open_nursery() as opener, trio.open_nursery() as nursery:
                await nursery.start(server.serve)
                await server.gate.wait_inside(1)
                await eventually(lambda: server.requests_in_flight == 2)
                opener.start_soon(server.open_gate_after_an_end)
                if how == "cancel":
                    nursery.cancel_scope.cancel()
                else:
                    server.drain_timeout = 0
                    await server.server_close()

    assert server.ends == [b"", b""]


async def test_to_close_a_request_that_was_refused_is_interrupted_in_its_thread() -> (
    None
):
    class Refusing(PoliteServer):
        cleanup_timeout = 0

        async def verify_request(self, *_: object) -> bool:
            return False

    server = Refusing()
    with trio.fail_after(STUCK):
        async with await connect(server), trio.open_nursery() as nursery:
            await nursery.start(server.serve)
            await eventually(lambda: server.begun)
            nursery.cancel_scope.cancel()

    assert server.ends == [b""]


class ExplainingServer(ThreadingTCPServer):
    """Tells its clients at length what has gone wrong."""

    def __init__(self) -> None:
        self.failures: list[OSError] = []
        self.threads: list[int] = []
        super().__init__(LOOPBACK, UpperThreadHandler)

    def handle_error(self, request: socket.socket, _: object) -> None:  # type: ignore[override]  # in a thread
        self.threads.append(threading.get_ident())
        request.settimeout(GIVE_UP)
        try:
            request.sendall(f"sorry: {sys.exception()!r}".encode() + LONG)
        except OSError as error:
            self.failures.append(error)
            raise


def refuse_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        message = "can't start new thread"
        raise RuntimeError(message)

    monkeypatch.setattr(trio._threads, "start_thread_soon", refuse)


async def test_without_a_thread_handle_error_waits_for_no_client(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async with serving(ExplainingServer()) as server:
        with monkeypatch.context() as patch:
            refuse_threads(patch)
            async with await connect(server) as client:
                assert await receive_all(client) == b""
        # And what it cannot do without its client does not end the server.
        async with await connect(server) as client:
            assert await ask(client, b"again\n") == b"AGAIN\n"

    (failure,) = server.failures
    assert isinstance(failure, BrokenPipeError)
    assert caplog.text.count("RuntimeError: can't start new thread") == 1


class StrictServer(ThreadingTCPServer):
    """Ends with the first error."""

    def __init__(self) -> None:
        super().__init__(LOOPBACK, UpperThreadHandler)

    def handle_error(self, *_: object) -> None:  # type: ignore[override]  # in a thread
        raise  # noqa: PLE0704  # it runs inside an "except"


async def test_without_a_thread_a_bare_raise_in_handle_error_ends_the_server(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    server = StrictServer()
    refuse_threads(monkeypatch)
    with trio.fail_after(STUCK):
        async with await connect(server):
            with pytest.raises(RuntimeError, match="can't start new thread"):
                await server.serve()


async def test_without_a_descriptor_a_bare_raise_in_handle_error_ends_the_server(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def fail(*_: object) -> None:
        raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))

    server = StrictServer()
    with trio.fail_after(STUCK):
        async with await connect(server):
            monkeypatch.setattr(socket, "dup", fail)
            with pytest.raises(OSError, match="Too many open files"):
                await server.serve()


async def test_an_error_of_verify_request_is_handled_in_a_thread() -> None:
    class Careful(ExplainingServer):
        async def verify_request(self, *_: object) -> bool:
            message = "not you"
            raise ValueError(message)

    async with serving(Careful()) as server:
        async with await connect(server) as client:
            reply = await receive_all(client)

    assert reply == b"sorry: ValueError('not you')" + LONG
    assert server.threads != [threading.get_ident()]
    assert not server.failures
