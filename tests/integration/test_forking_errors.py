"""What goes wrong in a child, or with it, and where that is told."""

from __future__ import annotations

import errno
import logging
import os
import re
import signal
import socket
import socketserver
import sys
from collections.abc import Callable

import pytest
import trio

import trioserver
from kit.forks import Handler, meet
from kit.serving import (
    LOOPBACK,
    connect,
    eventually,
    receive_line,
    reset_on_close,
    serving,
)
from trioserver import ForkingTCPServer
from trioserver._concurrency import forked_child

Log = pytest.LogCaptureFixture


LINE = re.compile(
    r"Child process [1-9]\d*, for the request from "
    r"\('127\.0\.0\.1', \d+\), (?P<what>.*)"
)


def child_lines(caplog: Log) -> list[tuple[str, str]]:
    """Return level and text, of what was logged about children."""
    found = []
    for record in caplog.records:
        match = LINE.fullmatch(record.getMessage())
        found += [(record.levelname, match["what"])] if match else []
    return found


async def visit(handler: Handler, caplog: Log) -> bytes:
    """Return the reply of a server that goes on after its child has ended."""
    caplog.set_level(logging.DEBUG, "trioserver")
    async with serving(ForkingTCPServer(LOOPBACK, handler)) as server:
        reply = await meet(server)
        await eventually(lambda: not server.requests_in_flight)
    return reply


def raising(error: BaseException) -> Callable[[object, object, object], None]:
    def handle(*_: object) -> None:
        raise error

    return handle


def raising_asynchronously(error: BaseException) -> Handler:
    async def handle(*_: object) -> None:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(trio.sleep_forever)
            raise error

    return handle


@pytest.mark.parametrize("make", [raising, raising_asynchronously])
@pytest.mark.parametrize(
    ("error", "line"),
    [
        (
            ValueError("bro\nken"),
            ("WARNING", "ended with exit code 1: ValueError: bro\\nken"),
        ),
        (SystemExit(7), ("WARNING", "ended with exit code 7: SystemExit: 7")),
        (SystemExit("why"), ("WARNING", "ended with exit code 1: SystemExit: why")),
        (KeyboardInterrupt(), ("INFO", "ended with exit code 130: KeyboardInterrupt")),
    ],
    ids=repr,
)
async def test_the_parent_tells_how_a_child_has_ended(
    make: Callable[[BaseException], Handler],
    error: BaseException,
    line: tuple[str, str],
    caplog: Log,
) -> None:
    await visit(make(error), caplog)

    assert child_lines(caplog) == [line]


@pytest.mark.parametrize(
    ("error", "line"),
    [
        (
            trioserver.RequestTimeoutError("slow"),
            ("INFO", "ended with exit code 1: trioserver.RequestTimeoutError: slow"),
        ),
        (
            trioserver.ConnectionLostError(104, "reset"),
            (
                "DEBUG",
                (
                    "ended with exit code 1: trioserver.ConnectionLostError: "
                    "[Errno 104] reset"
                ),
            ),
        ),
    ],
    ids=repr,
)
async def test_what_a_client_can_cause_is_told_quietly(
    error: Exception, line: tuple[str, str], caplog: Log
) -> None:
    await visit(raising_asynchronously(error), caplog)

    assert child_lines(caplog) == [line]


@pytest.mark.parametrize("code", [None, 0])
@pytest.mark.parametrize("make", [raising, raising_asynchronously])
async def test_a_child_that_exits_well_is_not_mentioned(
    make: Callable[[BaseException], Handler], code: int | None, caplog: Log
) -> None:
    await visit(make(SystemExit(code)), caplog)

    assert child_lines(caplog) == []


# On one line, because what a killed child has done is not measured.
exit_with_code: Handler = lambda *_: os._exit(7)  # noqa: E731  # see above
die_of_a_signal: Handler = lambda *_: signal.raise_signal(signal.SIGKILL)  # noqa: E731  # see above
die_of_one_without_a_name: Handler = lambda *_: os.kill(  # noqa: E731  # see above
    os.getpid(), signal.SIGRTMIN + 3
)
end_as_told: Handler = lambda *_: signal.raise_signal(signal.SIGTERM)  # noqa: E731  # see above


async def end_as_told_with_trio(*_: object) -> None:
    os.kill(os.getpid(), signal.SIGTERM)
    await trio.sleep_forever()


@pytest.mark.parametrize(
    ("handler", "line"),
    [
        (exit_with_code, ("ERROR", "ended with exit code 7: it says no more")),
        (die_of_a_signal, ("ERROR", "was killed by SIGKILL")),
        (
            die_of_one_without_a_name,
            ("ERROR", f"was killed by signal {signal.SIGRTMIN + 3}"),
        ),
        (end_as_told, ("ERROR", "was killed by SIGTERM")),
        (end_as_told_with_trio, ("INFO", "ended with exit code 143: SIGTERM")),
    ],
)
async def test_a_child_that_just_dies_is_reported(
    handler: Handler, line: tuple[str, str], caplog: Log
) -> None:
    await visit(handler, caplog)

    assert child_lines(caplog) == [line]


@pytest.mark.parametrize("make", [raising, raising_asynchronously])
async def test_handle_error_that_raises_ends_the_child_alone(
    make: Callable[[BaseException], Handler],
    caplog: Log,
    capfd: pytest.CaptureFixture[str],
) -> None:
    class Server(ForkingTCPServer):
        async def handle_error(self, *_: object) -> None:
            raise  # noqa: PLE0704  # what is being handled

    logger = logging.getLogger("trioserver")
    handler = logging.StreamHandler(sys.__stderr__)
    logger.addHandler(handler)
    try:
        async with serving(Server(LOOPBACK, make(ValueError("broken")))) as server:
            assert await meet(server) == b""
            await eventually(lambda: not server.requests_in_flight)
    finally:
        logger.removeHandler(handler)

    line = ("ERROR", "ended with exit code 1: ValueError: broken")
    assert child_lines(caplog) == [line]
    # The child's own words, with the traceback.
    assert "A child process ends: it cannot handle an error" in capfd.readouterr().err


async def test_the_childs_report_has_the_traceback(
    capfd: pytest.CaptureFixture[str],
) -> None:
    logger = logging.getLogger("trioserver")
    handler = logging.StreamHandler(sys.__stderr__)
    logger.addHandler(handler)
    try:
        server = ForkingTCPServer(LOOPBACK, raising(ValueError("broken")))
        async with serving(server):
            await meet(server)
            await eventually(lambda: not server.requests_in_flight)
    finally:
        logger.removeHandler(handler)

    told = capfd.readouterr().err
    assert "Exception occurred during processing of request from ('127" in told
    assert "ValueError: broken" in told
    assert told.count("Traceback") == 1


async def test_a_client_that_has_vanished_is_not_worth_a_line(caplog: Log) -> None:
    def handle(request: socket.socket, *_: object) -> None:
        request.sendall(b"hello\n")
        request.recv(1)

    caplog.set_level(logging.DEBUG, "trioserver")
    async with serving(ForkingTCPServer(LOOPBACK, handle)) as server:
        client = await connect(server)
        # Before the fork: the child has it, too, or nothing would be reset.
        reset_on_close(client)
        await receive_line(client)
        client.socket.shutdown(socket.SHUT_WR)
        await client.aclose()
        await eventually(lambda: not server.requests_in_flight)

    assert [level for level, _ in child_lines(caplog)] in ([], ["DEBUG"])


# What cannot work


class Waiting(ForkingTCPServer):
    async def finish_request(self, request: object, client_address: object) -> None:
        await trio.lowlevel.checkpoint()


async def test_a_hook_that_waits_needs_an_asynchronous_handler(caplog: Log) -> None:
    async with serving(Waiting(LOOPBACK, raising(AssertionError()))) as server:
        await meet(server)
        await eventually(lambda: not server.requests_in_flight)

    ((level, text),) = child_lines(caplog)
    assert level == "WARNING"
    assert "TypeError: Waiting.finish_request has to wait for something" in text


async def test_a_plain_function_cannot_return_what_is_awaited(caplog: Log) -> None:
    async def wait(*_: object) -> None:
        await trio.lowlevel.checkpoint()

    def handle(*_: object) -> object:
        return wait()

    async with serving(ForkingTCPServer(LOOPBACK, handle)) as server:
        await meet(server)
        await eventually(lambda: not server.requests_in_flight)

    ((_, text),) = child_lines(caplog)
    assert "has to wait for something" in text


async def test_a_stream_of_trios_is_nothing_for_a_synchronous_handler(
    caplog: Log,
) -> None:
    class Server(ForkingTCPServer):
        async def get_request(self) -> tuple[trio.SocketStream, object]:
            request, client_address = await super().get_request()
            sock = trio.socket.from_stdlib_socket(request.socket)
            return trio.SocketStream(sock), client_address

    async with serving(Server(LOOPBACK, raising(AssertionError()))) as server:
        await meet(server)
        await eventually(lambda: not server.requests_in_flight)

    ((level, text),) = child_lines(caplog)
    assert level == "ERROR"
    assert "TypeError: a synchronous handler needs a socket" in text


async def test_an_asynchronous_handler_may_have_any_stream(caplog: Log) -> None:
    class Server(ForkingTCPServer):
        async def get_request(self) -> tuple[trio.SocketStream, object]:
            request, client_address = await super().get_request()
            sock = trio.socket.from_stdlib_socket(request.socket)
            return trio.SocketStream(sock), client_address

    async def handle(request: trio.SocketStream, *_: object) -> None:
        await request.send_all(b"hello")

    async with serving(Server(LOOPBACK, handle)) as server:
        assert await meet(server) == b"hello"

    assert child_lines(caplog) == []


class PlainHandle(trioserver.BaseRequestHandler):
    def handle(self) -> None:  # type: ignore[override]  # what is refused
        """Do nothing."""


@pytest.mark.parametrize("handler", [None, PlainHandle])
def test_refuses_a_handler_that_cannot_work(handler: Handler) -> None:
    with pytest.raises(TypeError):
        ForkingTCPServer(LOOPBACK, handler)


def test_refuses_sessions_which_live_in_the_parent() -> None:
    class Handler(trioserver.DatagramSessionHandler):
        async def handle(self) -> None:
            """Never called."""

    class Server(trioserver.ForkingMixIn, trioserver.UDPSessionServer):
        """Cannot be."""

    with pytest.raises(TypeError, match="is a DatagramSessionHandler, which cannot"):
        Server(LOOPBACK, Handler)


def test_refuses_the_mix_in_of_socketserver_and_names_ours() -> None:
    class Server(socketserver.ForkingMixIn, trioserver.TCPServer):  # type: ignore[misc]  # what is refused
        """Half moved."""

    with pytest.raises(TypeError, match=r"trioserver\.ForkingMixIn"):
        Server(LOOPBACK, PlainHandle)


# No more processes


async def test_a_fork_that_fails_is_one_requests_error(
    caplog: Log, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse() -> int:
        raise OSError(errno.EAGAIN, os.strerror(errno.EAGAIN))

    def greet(request: socket.socket, *_: object) -> None:
        request.sendall(b"hello")

    async with serving(ForkingTCPServer(LOOPBACK, greet)) as server:
        with monkeypatch.context() as patch:
            patch.setattr(os, "fork", refuse)
            assert await meet(server) == b""
        assert await meet(server) == b"hello"

    assert caplog.text.count("BlockingIOError") == 1
    assert not server.active_children


async def test_an_interrupt_in_the_last_moment_changes_nothing(
    monkeypatch: pytest.MonkeyPatch, caplog: Log
) -> None:
    def interrupt(_code: int) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(forked_child, "_leave", interrupt)

    await visit(raising(ValueError("broken")), caplog)

    line = ("WARNING", "ended with exit code 1: ValueError: broken")
    assert child_lines(caplog) == [line]
