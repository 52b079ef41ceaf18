"""What is left of an object when serving with it has ended."""

from __future__ import annotations

import os
import socket
import socketserver

import pytest
import trio
import trio.testing

from kit.descriptors import no_more_descriptors
from kit.driving import driving, in_thread
from kit.journal_server import (
    talk,
)
from kit.serving import LOOPBACK, STUCK
from kit.threads import UpperThreadDatagramHandler, UpperThreadHandler
from trioserver import ServerClosedError, serve_socketserver
from trioserver._bridge.loop_hooks import LoopHooks
from trioserver._bridge.sources import ConnectionSource, source_of


async def test_the_object_is_closed_in_the_end() -> None:
    async with driving(socketserver.TCPServer(LOOPBACK, UpperThreadHandler)) as server:
        pass

    assert server.socket.fileno() == -1
    with pytest.raises(ServerClosedError):
        await serve_socketserver(server)


@pytest.mark.parametrize("is_closed", [True, False])
async def test_an_object_that_cannot_be_taken_over_is_closed_all_the_same(
    is_closed: bool,
) -> None:
    with socketserver.TCPServer(LOOPBACK, UpperThreadHandler) as server:
        with no_more_descriptors(), pytest.raises(OSError, match="Too many open"):
            await serve_socketserver(server, close=is_closed)

        assert (server.socket.fileno() == -1) is is_closed


async def test_what_close_says_of_its_own_duplicate_is_not_the_object_s_error() -> None:
    with socketserver.TCPServer(LOOPBACK, UpperThreadHandler) as server:
        source = source_of(server, LoopHooks(1), str)
        assert isinstance(source, ConnectionSource)
        os.close(source._borrowed.ours.fileno())

        source.give_back(close=True)

    assert source._borrowed.ours.fileno() == -1


class OverridingServer(socketserver.ThreadingTCPServer):
    """Has all that can be replaced on an object."""

    def get_request(self) -> tuple[socket.socket, object]:
        return super().get_request()


class OverridingUDPServer(socketserver.ThreadingUDPServer):
    """Likewise."""

    def get_request(self) -> tuple[tuple[bytes, socket.socket], object]:  # type: ignore[override]  # as typeshed's own
        return super().get_request()


@pytest.mark.parametrize(
    ("server_class", "handler"),
    [
        (socketserver.TCPServer, UpperThreadHandler),
        (OverridingServer, UpperThreadHandler),
        (socketserver.UDPServer, UpperThreadDatagramHandler),
        (OverridingUDPServer, UpperThreadDatagramHandler),
    ],
)
@pytest.mark.parametrize("socket_timeout", [None, 7.0])
async def test_an_object_that_stays_open_is_as_it_was_before(
    server_class: type[socketserver.TCPServer],
    handler: type[socketserver.BaseRequestHandler],
    socket_timeout: float | None,
) -> None:
    server = server_class(LOOPBACK, handler)
    server.socket.settimeout(socket_timeout)
    before = dict(vars(server))

    async with driving(server, close=False):
        assert vars(server) != before

    assert vars(server) == before
    assert server.socket.gettimeout() == socket_timeout
    assert server.socket.fileno() != -1

    # Whoever drives it now, it works.
    async with driving(server, close=False):
        await in_thread(_exchange, server)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(in_thread, server.serve_forever, 0.01)
        await in_thread(_exchange, server)
        await in_thread(server.shutdown)
    server.server_close()


def _exchange(server: socketserver.TCPServer) -> None:
    with socket.socket(socket.AF_INET, server.socket_type) as client:
        client.settimeout(STUCK)
        client.connect(server.server_address)
        assert talk(client) == b"HELLO\n"


async def test_what_an_object_had_as_its_own_is_put_back() -> None:
    server = socketserver.TCPServer(LOOPBACK, UpperThreadHandler)
    calls: list[str] = []
    original = server.server_close

    def noted_close() -> None:
        calls.append("own")
        original()

    server.server_close = noted_close  # type: ignore[method-assign]  # as tests do it

    async with driving(server):
        pass

    assert calls == ["own"]
    assert vars(server)["server_close"] is noted_close
