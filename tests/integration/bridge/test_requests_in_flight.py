"""What becomes of the requests that run when serving with an object ends."""

from __future__ import annotations

import socketserver
import threading
from functools import partial

import pytest
import trio
import trio.testing

from kit.driving import connect_blocking, driving, in_thread
from kit.gate_server import BlockingGateServer, DaemonGateServer
from kit.journal_server import (
    talk,
)
from kit.serving import LOOPBACK, STUCK, eventually
from kit.threads import UpperThreadHandler
from trioserver import serve_socketserver

SERVERS = [socketserver.TCPServer, socketserver.ThreadingTCPServer]
both = pytest.mark.parametrize("server_class", SERVERS)


async def test_a_shutdown_lets_requests_end() -> None:
    async with driving(BlockingGateServer()) as server:
        with connect_blocking(server) as client:
            client.sendall(b"hello\n")
            await in_thread(server.inside.wait)
            await in_thread(server.shutdown)
            server.gate.set()
            assert await in_thread(client.recv, 10) == b"HELLO\n"

    assert server.finished == 1


async def test_a_drain_timeout_interrupts_them() -> None:
    server = socketserver.ThreadingTCPServer(LOOPBACK, UpperThreadHandler)
    with trio.fail_after(STUCK):
        async with trio.open_nursery() as nursery:
            await nursery.start(partial(serve_socketserver, server, drain_timeout=0.01))
            with connect_blocking(server) as client:
                assert await in_thread(talk, client) == b"HELLO\n"
                await in_thread(server.shutdown)
                assert await in_thread(client.recv, 10) == b""


class DaemonServer(socketserver.ThreadingTCPServer):
    """Does not wait for its threads."""

    daemon_threads = True


async def test_a_shutdown_interrupts_the_requests_of_daemon_threads() -> None:
    async with driving(DaemonServer(LOOPBACK, UpperThreadHandler)) as server:
        with connect_blocking(server) as client:
            assert await in_thread(talk, client) == b"HELLO\n"
            await in_thread(server.shutdown)
            assert await in_thread(client.recv, 10) == b""


async def test_without_block_on_close_server_close_waits_for_nobody() -> None:
    server = BlockingGateServer()
    server.block_on_close = False
    with trio.fail_after(STUCK):
        async with trio.open_nursery() as nursery:
            await nursery.start(serve_socketserver, server)
            with connect_blocking(server) as client:
                client.sendall(b"hello\n")
                await in_thread(server.inside.wait)
                await in_thread(server.server_close)
                server.gate.set()
                assert await in_thread(client.recv, 10) == b"HELLO\n"
    # But nothing outlives the call.
    assert server.finished == 1


async def test_a_client_in_the_listen_queue_is_served_before_the_end() -> None:
    async with driving(socketserver.TCPServer(LOOPBACK, UpperThreadHandler)) as server:
        with connect_blocking(server) as first, connect_blocking(server) as second:
            assert await in_thread(talk, first) == b"HELLO\n"
            # The second one waits in the queue, because the first one is being served.
            await in_thread(server.shutdown)
            first.close()
            assert await in_thread(talk, second) == b"HELLO\n"


@pytest.mark.parametrize("server_class", [*SERVERS, DaemonServer])
async def test_a_cancellation_wakes_handlers_that_wait_for_their_clients(
    server_class: type[socketserver.TCPServer],
) -> None:
    with trio.fail_after(STUCK):
        async with trio.open_nursery() as nursery:
            server = await nursery.start(
                serve_socketserver, server_class(LOOPBACK, UpperThreadHandler)
            )
            with connect_blocking(server) as client:
                assert await in_thread(talk, client) == b"HELLO\n"
                nursery.cancel_scope.cancel()
        assert server.socket.fileno() == -1


async def test_a_cancellation_waits_for_a_thread_that_computes() -> None:
    server = BlockingGateServer()
    with trio.fail_after(STUCK):
        with connect_blocking(server) as client:
            client.sendall(b"hello\n")
            async with trio.open_nursery() as opener:
                async with trio.open_nursery() as nursery:
                    await nursery.start(serve_socketserver, server)
                    await in_thread(server.inside.wait)
                    nursery.cancel_scope.cancel()
                    opener.start_soon(in_thread, _open_later, server)
    assert server.finished == 1


def _open_later(server: BlockingGateServer) -> None:
    assert server.finished == 0
    server.gate.set()


async def test_a_cancellation_leaves_a_daemon_thread_that_computes_alone() -> None:
    server = DaemonGateServer()
    with trio.fail_after(STUCK):
        with connect_blocking(server) as client:
            client.sendall(b"hello\n")
            async with trio.open_nursery() as nursery:
                await nursery.start(serve_socketserver, server)
                await in_thread(server.inside.wait)
                nursery.cancel_scope.cancel()
            assert server.finished == 0
            server.gate.set()
            await eventually(lambda: server.finished)
            # It closes its request itself, as the object's methods tell it to.
            await eventually(lambda: not _worker_threads())


def _worker_threads() -> list[str]:
    names = (thread.name for thread in threading.enumerate())
    return [name for name in names if name == "trioserver"]
