"""How serving with an object ends: by its own methods, and by a cancellation."""

from __future__ import annotations

import socket
import socketserver
import threading
from functools import partial

import pytest
import trio
import trio.testing

from kit.driving import connect_blocking, driving, in_thread
from kit.gate_server import BlockingGateServer
from kit.journal_server import (
    talk,
)
from kit.serving import LOOPBACK, STUCK, eventually
from kit.threads import UpperThreadDatagramHandler, UpperThreadHandler
from trioserver import serve_socketserver
from trioserver.testing import Trial, cancel_everywhere

SERVERS = [socketserver.TCPServer, socketserver.ThreadingTCPServer]
both = pytest.mark.parametrize("server_class", SERVERS)


@both
async def test_shutdown_in_a_thread_returns_when_nobody_is_accepted_any_more(
    server_class: type[socketserver.TCPServer],
) -> None:
    with trio.fail_after(STUCK):
        async with trio.open_nursery() as nursery:
            server = await nursery.start(
                partial(
                    serve_socketserver,
                    server_class(LOOPBACK, UpperThreadHandler),
                    close=False,
                )
            )
            await in_thread(server.shutdown)
            await in_thread(server.shutdown)
        await in_thread(server.shutdown)
    server.server_close()


class StoppingHandler(UpperThreadHandler):
    """Stops its server, in the way that hangs in socketserver if it has no threads."""

    def handle(self) -> None:
        self.server.shutdown()
        super().handle()


@both
async def test_a_handler_may_shut_down(
    server_class: type[socketserver.TCPServer],
) -> None:
    with trio.fail_after(STUCK):
        async with trio.open_nursery() as nursery:
            server = await nursery.start(
                serve_socketserver, server_class(LOOPBACK, StoppingHandler)
            )
            with connect_blocking(server) as client:
                assert await in_thread(talk, client) == b"HELLO\n"


@both
async def test_a_handler_may_shut_down_what_was_shut_down_before_it_served(
    server_class: type[socketserver.TCPServer],
) -> None:
    server = server_class(LOOPBACK, StoppingHandler)
    server._BaseServer__shutdown_request = True  # type: ignore[attr-defined]  # private
    with trio.fail_after(STUCK):
        async with trio.open_nursery() as nursery:
            with connect_blocking(server) as client:
                await nursery.start(serve_socketserver, server)
                assert await in_thread(talk, client) == b"HELLO\n"


class ClosedServer(socketserver.ThreadingTCPServer):
    """Is closed by somebody, just before it accepts."""

    def get_request(self) -> tuple[socket.socket, object]:
        self.server_close()
        while type(self.socket) is not socket.socket:  # until it has its own again
            threading.Event().wait(0.001)
        return super().get_request()


async def test_a_close_while_the_queue_is_emptied_is_no_error() -> None:
    server = ClosedServer(LOOPBACK, UpperThreadHandler)
    server._BaseServer__shutdown_request = True  # type: ignore[attr-defined]  # private
    with trio.fail_after(STUCK), connect_blocking(server):
        await serve_socketserver(server)

    assert server.socket.fileno() == -1


async def serve_nobody(trial: Trial) -> None:
    """Serve, and shut down."""
    server = socketserver.UDPServer(LOOPBACK, UpperThreadDatagramHandler)
    async with trial.watching(partial(serve_socketserver, server)):
        server.shutdown()


def test_ctrl_c_at_any_moment_leaves_no_object_open() -> None:
    report = cancel_everywhere(serve_nobody, by="interrupt")

    report.check()


class FlaggingHandler(UpperThreadHandler):
    """Stops its server as handlers do that know that ``shutdown()`` would hang."""

    def handle(self) -> None:
        self.server._BaseServer__shutdown_request = True  # type: ignore[attr-defined]  # private
        self.request.sendall(b"stopping")


@both
async def test_the_private_flag_is_seen_after_the_request(
    server_class: type[socketserver.TCPServer],
) -> None:
    with trio.fail_after(STUCK):
        async with trio.open_nursery() as nursery:
            server = await nursery.start(
                serve_socketserver, server_class(LOOPBACK, FlaggingHandler)
            )
            with connect_blocking(server) as client:
                assert await in_thread(talk, client) == b"stopping"


async def test_a_shutdown_that_came_before_ends_serving_at_once() -> None:
    server = socketserver.TCPServer(LOOPBACK, UpperThreadHandler)
    stopping = threading.Thread(target=server.shutdown)
    stopping.start()
    await eventually(lambda: vars(server)["_BaseServer__shutdown_request"])

    with trio.fail_after(STUCK):
        await serve_socketserver(server)
        await in_thread(stopping.join)


async def test_shutdown_and_serving_may_race() -> None:
    with trio.fail_after(STUCK):
        for _ in range(20):
            server = socketserver.TCPServer(LOOPBACK, UpperThreadHandler)
            async with trio.open_nursery() as nursery:
                nursery.start_soon(serve_socketserver, server)
                nursery.start_soon(in_thread, server.shutdown)


async def test_shutdown_in_trios_own_thread_does_not_wait() -> None:
    with trio.fail_after(STUCK):
        async with trio.open_nursery() as nursery:
            server = await nursery.start(
                serve_socketserver, socketserver.TCPServer(LOOPBACK, UpperThreadHandler)
            )
            server.shutdown()


class ObservedServer(socketserver.ThreadingTCPServer):
    """Has something to do when it stops, and when it closes."""

    def __init__(self) -> None:
        self.journal: list[str] = []
        super().__init__(LOOPBACK, UpperThreadHandler)

    def shutdown(self) -> None:
        self.journal.append("shutdown")
        super().shutdown()

    def server_close(self) -> None:
        self.journal.append("server_close")
        super().server_close()


async def test_overrides_of_shutdown_and_server_close_are_called_once() -> None:
    async with driving(ObservedServer()) as server:
        pass

    assert server.journal == ["shutdown", "server_close"]


class HookedServer(socketserver.TCPServer):
    """Stops in one of the hooks that the accept loop waits for."""

    stopping_hook = ""

    def get_request(self) -> tuple[socket.socket, object]:
        self._stop_if("get_request")
        return super().get_request()

    def verify_request(self, request: object, client_address: object) -> bool:
        self._stop_if("verify_request")
        return True

    def service_actions(self) -> None:
        self._stop_if("service_actions")

    def _stop_if(self, hook: str) -> None:
        if self.stopping_hook == hook:
            self.shutdown()


@pytest.mark.parametrize("hook", ["get_request", "verify_request", "service_actions"])
async def test_a_hook_may_shut_down_and_the_client_is_served(hook: str) -> None:
    server = HookedServer(LOOPBACK, UpperThreadHandler)
    with trio.fail_after(STUCK):
        async with trio.open_nursery() as nursery:
            await nursery.start(partial(serve_socketserver, server, poll_interval=0.01))
            with connect_blocking(server) as client:
                server.stopping_hook = hook
                assert await in_thread(talk, client) == b"HELLO\n"


@both
async def test_server_close_in_a_thread_ends_serving(
    server_class: type[socketserver.TCPServer],
) -> None:
    with trio.fail_after(STUCK):
        async with trio.open_nursery() as nursery:
            server = await nursery.start(
                serve_socketserver, server_class(LOOPBACK, UpperThreadHandler)
            )
            await in_thread(server.server_close)
            assert server.socket.fileno() == -1


async def test_server_close_in_a_thread_waits_for_requests() -> None:
    with trio.fail_after(STUCK):
        async with trio.open_nursery() as nursery:
            server = await nursery.start(serve_socketserver, BlockingGateServer())
            with connect_blocking(server) as client:
                client.sendall(b"hello\n")
                await in_thread(server.inside.wait)
                async with trio.open_nursery() as closing:
                    closing.start_soon(in_thread, server.server_close)
                    await trio.testing.wait_all_tasks_blocked()
                    assert server.finished == 0
                    server.gate.set()
                assert server.finished == 1


class ClosingHandler(UpperThreadHandler):
    """Closes its server."""

    def handle(self) -> None:
        self.server.server_close()
        super().handle()


class OwnThreadsServer(socketserver.ThreadingTCPServer):
    """Starts a thread for each request, in that which it is given for it."""

    def process_request(self, request: object, client_address: object) -> None:
        super().process_request(request, client_address)  # type: ignore[arg-type]  # whatever has come


@pytest.mark.parametrize("server_class", [*SERVERS, OwnThreadsServer])
async def test_a_handler_may_close_the_server(
    server_class: type[socketserver.TCPServer],
) -> None:
    with trio.fail_after(STUCK):
        async with trio.open_nursery() as nursery:
            server = await nursery.start(
                serve_socketserver, server_class(LOOPBACK, ClosingHandler)
            )
            with connect_blocking(server) as client:
                assert await in_thread(talk, client) == b"HELLO\n"


async def test_server_close_in_trios_own_thread_does_not_wait() -> None:
    with trio.fail_after(STUCK):
        async with trio.open_nursery() as nursery:
            server = await nursery.start(
                serve_socketserver, socketserver.TCPServer(LOOPBACK, UpperThreadHandler)
            )
            with server:
                pass
            assert server.socket.fileno() == -1


class ResourceServer(BlockingGateServer):
    """Closes what its requests use, as soon as none runs."""

    def __init__(self) -> None:
        self.finished_at_close: list[int] = []
        super().__init__()

    def server_close(self) -> None:
        super().server_close()
        self.finished_at_close.append(self.finished)


async def test_the_objects_own_server_close_comes_after_its_requests() -> None:
    async with driving(ResourceServer()) as server:
        with connect_blocking(server) as client:
            client.sendall(b"hello\n")
            await in_thread(server.inside.wait)
            await in_thread(server.shutdown)
            server.gate.set()
            assert await in_thread(client.recv, 10) == b"HELLO\n"

    assert server.finished_at_close == [1]
