"""Where the libraries differ on purpose in what becomes of a request, side by side."""

from __future__ import annotations

import logging
import socket
import sys
from collections.abc import Mapping

import pytest
import trio

from kit.serving import LOOPBACK, receive_all, receive_line
from parity.journal import Journal
from parity.libraries import (
    SOCKETSERVER,
    Either,
    Function,
    Library,
    both_libraries,
    differs,
)
from parity.scenario import (
    POLL_INTERVAL,
    closing,
    handle_one,
    make_server,
    open_client,
    recording_server,
)
from trioserver import LimitOverrunError


async def story(
    library: Library, raises: Mapping[str, type[BaseException]]
) -> list[str]:
    """Return what becomes of a request when hooks raise, once it is accepted."""
    journal = Journal(raises=raises)
    server = recording_server(library, journal, ignore)
    async with closing(library, server), await open_client(server) as client:
        await client.send_eof()
        try:
            await library.call(server.handle_request)
        except ValueError as error:
            journal.entries.append(f"it raises {error!r}")
        if library.socket_of(journal.request).fileno() != -1:
            journal.entries.append("the request is still open")
            await library.call(library.close_request, journal.request)
    return journal.entries[3:-1]


def ignore(handler: Either) -> Either:
    """Do nothing with a request."""
    yield


@differs(
    socketserver=[
        "verify_request(request, client)",
        "it raises ValueError('verify_request')",
        "the request is still open",
    ],
    trioserver=[
        "verify_request(request, client)",
        "handle_error(request, client) with ValueError('verify_request')",
        "shutdown_request(request)",
        "close_request(request)",
    ],
)
async def test_verify_request_that_raises(
    library: Library, expected: list[str]
) -> None:
    events = await story(library, {"verify_request": ValueError})

    assert events == expected


@differs(
    socketserver=[
        "handle_error(request, client) with KeyError('handler.handle')",
        "it raises ValueError('handle_error')",
        "the request is still open",
    ],
    trioserver=[
        "handle_error(request, client) with KeyError('handler.handle')",
        "shutdown_request(request)",
        "close_request(request)",
        "it raises ValueError('handle_error')",
    ],
)
async def test_handle_error_that_raises(library: Library, expected: list[str]) -> None:
    raises = {"handler.handle": KeyError, "handle_error": ValueError}

    events = await story(library, raises)

    finished = events.index("handler.finish()")
    assert events[finished + 1 :] == expected


@differs(socketserver="stderr", trioserver="log")
async def test_where_handle_error_reports(
    library: Library,
    expected: str,
    capsys: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
) -> None:
    def fail(handler: Either) -> Either:
        yield
        message = "no reason"
        raise ValueError(message)

    with caplog.at_level(logging.ERROR):
        async with closing(library, server := make_server(library, fail)):
            await handle_one(library, server)

    reports = {"stderr": capsys.readouterr().err, "log": caplog.text}
    assert [name for name, text in reports.items() if text] == [expected]
    assert "Exception occurred during processing of request from" in reports[expected]
    assert "ValueError: no reason" in reports[expected]


@differs(socketserver=(b"100000", []), trioserver=(b"", [LimitOverrunError]))
async def test_a_line_without_an_end(
    library: Library, expected: tuple[bytes, list[object]]
) -> None:
    errors: list[object] = []

    def count(handler: Either) -> Either:
        line = yield handler.rfile.readline()
        yield handler.wfile.write(b"%d" % len(line))

    server = make_server(
        library, count, handle_error=lambda *_: errors.append(type(sys.exception()))
    )
    async with closing(library, server), trio.open_nursery() as nursery:
        nursery.start_soon(library.call, server.handle_request)
        async with await open_client(server) as client:
            await client.send_all(bytes(100_000))
            await client.send_eof()
            reply = await receive_all(client)

    assert (reply, errors) == expected


# Requests at once


async def greeted(library: Library, **settings: object) -> list[bytes]:
    """Return who was greeted while the first of two clients says nothing."""
    greetings: list[bytes] = []

    def greet_and_wait(handler: Either) -> Either:
        greetings.append(b"hello")
        yield handler.wfile.write(b"hello\n")
        yield handler.rfile.readline()

    server = make_server(library, greet_and_wait, **settings)
    async with closing(library, server), trio.open_nursery() as nursery:
        nursery.start_soon(library.call, server.serve_forever, POLL_INTERVAL)
        async with await open_client(server) as first:
            await receive_line(first)
            async with await open_client(server) as second:
                await trio.testing.wait_all_tasks_blocked()
                while_the_first_is_silent = list(greetings)
                await first.aclose()
                await receive_line(second)
        await library.call(server.shutdown)
    return while_the_first_is_silent


@differs(socketserver=[b"hello"], trioserver=[b"hello", b"hello"])
async def test_a_plain_server_handles_requests(
    library: Library, expected: list[bytes]
) -> None:
    assert await greeted(library) == expected


@both_libraries
async def test_one_request_at_a_time_is_one_setting_away(library: Library) -> None:
    assert await greeted(library, max_concurrent_requests=1) == [b"hello"]


# Wrong use


def nothing_to_call(library: Library) -> Either:
    return None


def a_synchronous_handler(library: Library) -> Either:
    return SOCKETSERVER.handler(ignore)


@differs(socketserver=None, trioserver=TypeError)
@pytest.mark.parametrize("handler", [nothing_to_call, a_synchronous_handler])
def test_a_handler_that_cannot_work(
    library: Library, expected: type[Exception] | None, handler: Function
) -> None:
    raised = None

    try:
        library.class_("TCPServer")(LOOPBACK, handler(library)).socket.close()
    except TypeError as error:
        raised = type(error)

    assert raised is expected


@differs(socketserver=socket.gaierror, trioserver=None)
def test_an_ipv6_address_without_its_family(
    library: Library, expected: type[Exception] | None
) -> None:
    raised = None

    try:
        make_server(library, address=("::1", 0)).socket.close()
    except OSError as error:
        raised = type(error)

    assert raised is expected


@differs(socketserver=["server_bind()", "server_close()"], trioserver=["server_bind()"])
def test_a_bind_that_fails(library: Library, expected: list[str]) -> None:
    journal = Journal(raises={"server_bind": ValueError})

    with pytest.raises(ValueError, match="server_bind"):
        recording_server(library, journal)

    assert journal.entries == expected
