"""Errors about threads: wrong use, and what is said about clients."""

from __future__ import annotations

import errno
import logging
import os
import socket
import socketserver
from contextlib import suppress

import pytest

from kit.serving import (
    LOOPBACK,
    STUCK,
    UpperHandler,
    connect,
    receive_all,
    reset_on_close,
    serving,
)
from kit.threads import UpperThreadHandler, handling, reply_of, threading_server
from trioserver import (
    BaseServer,
    TCPServer,
    ThreadingMixIn,
    ThreadingTCPServer,
    UDPServer,
)


@pytest.mark.parametrize(
    ("server_class", "right_class"),
    [(ThreadingTCPServer, "trioserver.TCPServer")],
)
def test_an_asynchronous_handler_is_refused_with_the_right_class(
    server_class: type[TCPServer], right_class: str
) -> None:
    with pytest.raises(TypeError, match=f"serve it with {right_class}, or"):
        server_class(LOOPBACK, UpperHandler)


def test_a_coroutine_function_is_refused() -> None:
    async def handle(*_: object) -> None:
        """Is never called."""

    with pytest.raises(TypeError, match="handle is asynchronous"):
        ThreadingTCPServer(LOOPBACK, handle)


def test_what_cannot_be_called_is_refused() -> None:
    with pytest.raises(TypeError, match="any callable"):
        ThreadingTCPServer(LOOPBACK, None)  # type: ignore[arg-type]  # on purpose


async def test_what_turns_out_to_be_asynchronous_is_reported(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def handle(*_: object) -> None:
        """Is never awaited."""

    def handle_later(*arguments: object) -> object:
        return handle(*arguments)

    def upper_later(*arguments: object) -> object:
        return UpperHandler(*arguments)

    for later in (handle_later, upper_later):
        assert await reply_of(ThreadingTCPServer(LOOPBACK, later)) == b""

    assert caplog.text.count("leave ThreadingMixIn out") == 2


@pytest.mark.parametrize(
    ("server_class", "right_name"),
    [
        (TCPServer, "trioserver.ThreadingTCPServer"),
        (UDPServer, "trioserver.ThreadingUDPServer"),
        (BaseServer, "trioserver.ThreadingMixIn"),
    ],
)
def test_a_synchronous_handler_on_a_plain_server_is_refused_with_the_right_class(
    server_class: type[BaseServer], right_name: str
) -> None:
    with pytest.raises(TypeError, match=f"serve it with {right_name}, or derive it"):
        server_class(LOOPBACK, UpperThreadHandler)


@pytest.mark.parametrize(
    "mixin", [socketserver.ThreadingMixIn, socketserver.ForkingMixIn]
)
def test_a_mix_in_of_the_standard_library_is_refused_with_the_right_one(
    mixin: type,
) -> None:
    class Server(mixin, TCPServer):  # type: ignore[misc]  # of two libraries
        pass

    with pytest.raises(TypeError, match=f"take trioserver.{mixin.__name__}"):
        Server(LOOPBACK, UpperHandler)


@pytest.mark.parametrize(
    "name",
    ["finish_request", "handle_error", "shutdown_request", "close_request"],
)
def test_an_asynchronous_hook_where_threads_call_it_is_refused(name: str) -> None:
    async def hook(*_: object) -> None:
        """Is never called."""

    below = type("Below", (TCPServer,), {name: hook})
    server_class = type("Server", (ThreadingMixIn, below), {})

    with pytest.raises(TypeError, match=rf"Below\.{name} must be a plain function"):
        server_class(LOOPBACK, UpperThreadHandler)


def read_on(handler: socketserver.StreamRequestHandler) -> None:
    """Read a line, and another."""
    handler.rfile.readline()
    handler.rfile.readline()


async def levels_after(
    server: TCPServer, caplog: pytest.LogCaptureFixture, *, resets: bool
) -> list[str]:
    """Return the levels of what is logged about a client who says one line."""
    caplog.set_level(logging.DEBUG, "trioserver")
    async with serving(server):
        async with await connect(server) as client:
            await client.send_all(b"hello\n")
            if resets:
                reset_on_close(client)
            else:
                assert await receive_all(client) == b""
    return [record.levelname for record in caplog.records]


async def test_a_client_that_resets_is_no_news(
    caplog: pytest.LogCaptureFixture,
) -> None:
    levels = await levels_after(threading_server(read_on), caplog, resets=True)

    assert set(levels) == {"DEBUG"}
    assert "ended early: ConnectionResetError" in caplog.text


@pytest.mark.parametrize(
    "number", [errno.ETIMEDOUT, errno.EHOSTUNREACH, errno.ENETUNREACH, errno.ENOTCONN]
)
async def test_a_client_that_cannot_be_reached_any_more_is_no_news(
    number: int, caplog: pytest.LogCaptureFixture
) -> None:
    def lose_the_client(handler: socketserver.StreamRequestHandler) -> None:
        handler.rfile.readline()
        # As tcp(7) ends a connection whose peer has gone: in both directions.
        with suppress(OSError):  # it has gone already
            handler.connection.shutdown(socket.SHUT_RDWR)
        raise OSError(number, os.strerror(number))

    server = threading_server(lose_the_client)
    levels = await levels_after(server, caplog, resets=True)

    assert levels == ["DEBUG"]
    assert f"[Errno {number}]" in caplog.text


async def test_a_client_that_is_too_slow_is_one_line(
    caplog: pytest.LogCaptureFixture,
) -> None:
    handler = handling(read_on)
    handler.timeout = 0.01  # type: ignore[attr-defined]  # it is for streams

    server = ThreadingTCPServer(LOOPBACK, handler)
    levels = await levels_after(server, caplog, resets=False)

    assert levels == ["INFO"]
    assert "ended early: TimeoutError: timed out" in caplog.text


@pytest.mark.parametrize("error", [ConnectionRefusedError, TimeoutError(110, "slow")])
async def test_an_error_of_something_else_is_heard_of(
    error: OSError, caplog: pytest.LogCaptureFixture
) -> None:
    def ask_the_database(handler: socketserver.StreamRequestHandler) -> None:
        handler.connection.settimeout(STUCK)
        raise error

    server = threading_server(ask_the_database)
    levels = await levels_after(server, caplog, resets=False)

    assert levels == ["ERROR"]
