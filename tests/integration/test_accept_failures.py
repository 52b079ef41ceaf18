"""Accepting while the process has no descriptors left, and on a broken listener."""

from __future__ import annotations

import logging
import socket
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
import trio
import trio.testing

from kit.descriptors import no_more_descriptors
from kit.serving import (
    LOOPBACK,
    STUCK,
    UpperHandler,
    ask,
    connect,
    eventually,
    reset_on_close,
    serving,
)
from trioserver import ListenerBrokenError, TCPServer, UnixStreamServer

WAITING = 5


async def test_clients_are_served_once_descriptors_are_free_again(
    caplog: pytest.LogCaptureFixture,
) -> None:
    server = TCPServer(LOOPBACK, UpperHandler)
    server.max_concurrent_requests = 0
    async with serving(server):
        before = await connect(server)
        server.max_concurrent_requests = 1
        assert await ask(before, b"in flight\n") == b"IN FLIGHT\n"
        waiting = [await connect(server) for _ in range(WAITING)]

        with no_more_descriptors():
            server.max_concurrent_requests = 1 + WAITING
            await eventually(lambda: caplog.records)
            assert await ask(before, b"unharmed\n") == b"UNHARMED\n"

        replies = [await ask(client, b"at last\n") for client in waiting]
        for client in [before, *waiting]:
            await client.aclose()

    assert replies == [b"AT LAST\n"] * WAITING
    first, last = caplog.records
    assert (first.levelno, last.levelno) == (logging.ERROR, logging.WARNING)
    assert "Too many open files" in first.getMessage()
    assert "again, after" in last.getMessage()


async def test_a_socket_that_does_not_listen_ends_with_an_error_that_names_it() -> None:
    server = TCPServer(LOOPBACK, UpperHandler, bind_and_activate=False)
    server.server_bind()

    with trio.fail_after(STUCK):
        with pytest.raises(ListenerBrokenError, match="server_activate") as caught:
            await server.serve()

    assert str(server.server_address[1]) in str(caught.value)
    assert server.fileno() == -1


async def test_a_socket_that_was_closed_behind_our_back_ends_the_server() -> None:
    class Closing(TCPServer):
        async def get_request(self) -> tuple[object, object]:
            self.socket.close()
            return await super().get_request()

    with trio.fail_after(STUCK):
        with pytest.raises(ListenerBrokenError, match="is broken"):
            await Closing(LOOPBACK, UpperHandler).serve()


@pytest.mark.parametrize(
    "serve", [UnixStreamServer.serve, UnixStreamServer.handle_request]
)
async def test_a_unix_socket_that_a_process_shuts_down_which_shares_it_ends_the_server(
    serve: Callable[[UnixStreamServer], Awaitable[None]], tmp_path: Path
) -> None:
    server = UnixStreamServer(tmp_path / "sock", UpperHandler)

    async def serve_until_it_breaks() -> None:
        with pytest.raises(ListenerBrokenError, match="it was shut down"):
            await serve(server)

    with trio.fail_after(STUCK):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(serve_until_it_breaks)
            await trio.testing.wait_all_tasks_blocked()
            server.socket.shutdown(socket.SHUT_RDWR)
        await server.server_close()


async def test_client_address_is_right_after_an_early_reset() -> None:
    seen: list[object] = []

    class Noting(UpperHandler):
        async def setup(self) -> None:
            await super().setup()
            seen.append(self.client_address)

    server = TCPServer(LOOPBACK, Noting)
    server.max_concurrent_requests = 0
    async with serving(server):
        client = await connect(server)
        address = client.socket.getsockname()
        reset_on_close(client)
        await client.aclose()
        server.max_concurrent_requests = 1
        async with await connect(server) as witness:
            await ask(witness, b"still here\n")

    assert seen[0] == address
