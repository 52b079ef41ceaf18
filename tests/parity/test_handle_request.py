"""``handle_request()``: one request, or none in time."""

from __future__ import annotations

import pytest
import trio

from kit.serving import LOOPBACK, receive_all
from parity.journal import SERVICE_HOOKS, Journal
from parity.libraries import Library, both_libraries
from parity.scenario import (
    POLL_INTERVAL,
    closing,
    handle_one,
    make_server,
    open_client,
    recording_server,
    upper_line,
)


@both_libraries
@pytest.mark.parametrize("seconds", [0, 0.01])
async def test_calls_handle_timeout_when_nobody_comes(
    library: Library, seconds: float
) -> None:
    journal = Journal()
    server = recording_server(library, journal)
    server.timeout = seconds

    async with closing(library, server):
        answer = await library.call(server.handle_request)

    assert answer is None
    assert journal.entries[2:] == ["handle_timeout()", "server_close()"]


@both_libraries
async def test_a_timeout_of_zero_serves_a_client_who_is_there(library: Library) -> None:
    journal = Journal()
    server = recording_server(library, journal)
    server.timeout = 0

    async with closing(library, server), await open_client(server) as client:
        await client.send_eof()
        await library.call(server.handle_request)

    assert "handler.handle()" in journal.entries
    assert "handle_timeout()" not in journal.entries


@both_libraries
async def test_serves_again_after_a_timeout(library: Library) -> None:
    journal = Journal()
    server = recording_server(library, journal)

    async with closing(library, server):
        server.timeout = 0.01
        await library.call(server.handle_request)
        server.timeout = None
        reply = await handle_one(library, server, b"hello\n")

    assert "handle_timeout()" in journal.entries
    assert reply == b"HELLO\n"


@both_libraries
async def test_the_timeout_bounds_the_wait_and_not_the_handling(
    library: Library,
) -> None:
    server = make_server(library, timeout=0.01)

    async with (
        closing(library, server),
        await open_client(server) as client,
        trio.open_nursery() as nursery,
    ):
        nursery.start_soon(library.call, server.handle_request)
        # The client is in the queue, and so in time; its line is too late.
        await trio.sleep(0.02)
        await client.send_all(b"hello\n")
        await client.send_eof()
        reply = await receive_all(client)

    assert reply == b"HELLO\n"


@both_libraries
async def test_returns_none_after_a_request(library: Library) -> None:
    server = make_server(library)

    async with closing(library, server), await open_client(server) as client:
        await client.send_eof()
        answer = await library.call(server.handle_request)

    assert answer is None


@both_libraries
async def test_never_calls_service_actions(library: Library) -> None:
    journal = Journal()
    base = library.class_("TCPServer")
    recording = journal.recording_server(base, SERVICE_HOOKS)
    server = recording(LOOPBACK, library.handler(upper_line))

    async with closing(library, server):
        await handle_one(library, server)

    assert "service_actions()" not in journal.entries


@both_libraries
async def test_an_error_in_service_actions_leaves_serve_forever(
    library: Library,
) -> None:
    journal = Journal(raises={"service_actions": ValueError})
    base = library.class_("TCPServer")
    recording = journal.recording_server(base, SERVICE_HOOKS)
    server = recording(LOOPBACK, library.handler(upper_line))

    async with closing(library, server):
        with pytest.raises(ValueError, match="service_actions"):
            await library.call(server.serve_forever, POLL_INTERVAL)

    assert journal.entries[2:] == ["service_actions()", "server_close()"]
