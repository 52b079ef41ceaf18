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
from kit.serving import LOOPBACK, STUCK, eventually
from trioserver import ServerClosedError, serve_socketserver


class UpperHandler(socketserver.StreamRequestHandler):
    """Answers each line in upper case."""

    def handle(self) -> None:
        for line in self.rfile:
            self.wfile.write(line.upper())


class GateHandler(socketserver.StreamRequestHandler):
    """Answers a line when the gate is open; it does not look at its socket before."""

    server: GateServer

    def handle(self) -> None:
        line = self.rfile.readline()
        self.server.inside.set()
        self.server.gate.wait(STUCK)
        self.server.finished += 1
        self.wfile.write(line.upper())


class GateServer(socketserver.ThreadingTCPServer):
    """Keeps its requests waiting."""

    def __init__(self) -> None:
        self.inside = threading.Event()
        self.gate = threading.Event()
        self.finished = 0
        super().__init__(LOOPBACK, GateHandler)

    def handle_error(self, request: object, client_address: object) -> None:
        """Say nothing about clients that were cut off."""


class DaemonGateServer(GateServer):
    """Does not wait for its requests."""

    daemon_threads = True


def ask(sock: socket.socket, line: bytes = b"hello\n") -> bytes:
    sock.sendall(line)
    return sock.recv(1000)


SERVERS = [socketserver.TCPServer, socketserver.ThreadingTCPServer]
both = pytest.mark.parametrize("server_class", SERVERS)


# By shutdown


@both
async def test_shutdown_in_a_thread_returns_when_nobody_is_accepted_any_more(
    server_class: type[socketserver.TCPServer],
) -> None:
    with trio.fail_after(STUCK):
        async with trio.open_nursery() as nursery:
            server = await nursery.start(
                partial(
                    serve_socketserver,
                    server_class(LOOPBACK, UpperHandler),
                    close=False,
                )
            )
            await in_thread(server.shutdown)
            await in_thread(server.shutdown)
        await in_thread(server.shutdown)
    server.server_close()


class StoppingHandler(UpperHandler):
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
                assert await in_thread(ask, client) == b"HELLO\n"


class FlaggingHandler(UpperHandler):
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
                assert await in_thread(ask, client) == b"stopping"


async def test_a_shutdown_that_came_before_ends_serving_at_once() -> None:
    server = socketserver.TCPServer(LOOPBACK, UpperHandler)
    stopping = threading.Thread(target=server.shutdown)
    stopping.start()
    await eventually(lambda: vars(server)["_BaseServer__shutdown_request"])

    with trio.fail_after(STUCK):
        await serve_socketserver(server)
        await in_thread(stopping.join)


async def test_shutdown_and_serving_may_race() -> None:
    with trio.fail_after(STUCK):
        for _ in range(20):
            server = socketserver.TCPServer(LOOPBACK, UpperHandler)
            async with trio.open_nursery() as nursery:
                nursery.start_soon(serve_socketserver, server)
                nursery.start_soon(in_thread, server.shutdown)


async def test_shutdown_in_trios_own_thread_does_not_wait() -> None:
    with trio.fail_after(STUCK):
        async with trio.open_nursery() as nursery:
            server = await nursery.start(
                serve_socketserver, socketserver.TCPServer(LOOPBACK, UpperHandler)
            )
            server.shutdown()


class ObservedServer(socketserver.ThreadingTCPServer):
    """Has something to do when it stops, and when it closes."""

    def __init__(self) -> None:
        self.journal: list[str] = []
        super().__init__(LOOPBACK, GateHandler)

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
    server = HookedServer(LOOPBACK, UpperHandler)
    with trio.fail_after(STUCK):
        async with trio.open_nursery() as nursery:
            await nursery.start(partial(serve_socketserver, server, poll_interval=0.01))
            with connect_blocking(server) as client:
                server.stopping_hook = hook
                assert await in_thread(ask, client) == b"HELLO\n"


# By server_close


@both
async def test_server_close_in_a_thread_ends_serving(
    server_class: type[socketserver.TCPServer],
) -> None:
    with trio.fail_after(STUCK):
        async with trio.open_nursery() as nursery:
            server = await nursery.start(
                serve_socketserver, server_class(LOOPBACK, UpperHandler)
            )
            await in_thread(server.server_close)
            assert server.socket.fileno() == -1


async def test_server_close_in_a_thread_waits_for_requests() -> None:
    with trio.fail_after(STUCK):
        async with trio.open_nursery() as nursery:
            server = await nursery.start(serve_socketserver, GateServer())
            with connect_blocking(server) as client:
                client.sendall(b"hello\n")
                await in_thread(server.inside.wait)
                async with trio.open_nursery() as closing:
                    closing.start_soon(in_thread, server.server_close)
                    await trio.testing.wait_all_tasks_blocked()
                    assert server.finished == 0
                    server.gate.set()
                assert server.finished == 1


class ClosingHandler(UpperHandler):
    """Closes its server."""

    def handle(self) -> None:
        self.server.server_close()
        super().handle()


@both
async def test_a_handler_may_close_the_server(
    server_class: type[socketserver.TCPServer],
) -> None:
    with trio.fail_after(STUCK):
        async with trio.open_nursery() as nursery:
            server = await nursery.start(
                serve_socketserver, server_class(LOOPBACK, ClosingHandler)
            )
            with connect_blocking(server) as client:
                assert await in_thread(ask, client) == b"HELLO\n"


async def test_server_close_in_trios_own_thread_does_not_wait() -> None:
    with trio.fail_after(STUCK):
        async with trio.open_nursery() as nursery:
            server = await nursery.start(
                serve_socketserver, socketserver.TCPServer(LOOPBACK, UpperHandler)
            )
            with server:
                pass
            assert server.socket.fileno() == -1


class ResourceServer(GateServer):
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


# What is left of it


async def test_the_object_is_closed_in_the_end() -> None:
    async with driving(socketserver.TCPServer(LOOPBACK, UpperHandler)) as server:
        pass

    assert server.socket.fileno() == -1
    with pytest.raises(ServerClosedError):
        await serve_socketserver(server)


class OverridingServer(socketserver.ThreadingTCPServer):
    """Has all that can be replaced on an object."""

    def get_request(self) -> tuple[socket.socket, object]:
        return super().get_request()


class OverridingUDPServer(socketserver.ThreadingUDPServer):
    """Likewise."""

    def get_request(self) -> tuple[tuple[bytes, socket.socket], object]:  # type: ignore[override]  # as typeshed's own
        return super().get_request()


class DatagramUpperHandler(socketserver.DatagramRequestHandler):
    """Answers in upper case."""

    def handle(self) -> None:
        self.wfile.write(self.rfile.read().upper())


@pytest.mark.parametrize(
    ("server_class", "handler"),
    [
        (socketserver.TCPServer, UpperHandler),
        (OverridingServer, UpperHandler),
        (socketserver.UDPServer, DatagramUpperHandler),
        (OverridingUDPServer, DatagramUpperHandler),
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
        assert ask(client) == b"HELLO\n"


async def test_what_an_object_had_as_its_own_is_put_back() -> None:
    server = socketserver.TCPServer(LOOPBACK, UpperHandler)
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


# Requests in flight


async def test_a_shutdown_lets_requests_end() -> None:
    async with driving(GateServer()) as server:
        with connect_blocking(server) as client:
            client.sendall(b"hello\n")
            await in_thread(server.inside.wait)
            await in_thread(server.shutdown)
            server.gate.set()
            assert await in_thread(client.recv, 10) == b"HELLO\n"

    assert server.finished == 1


async def test_a_drain_timeout_interrupts_them() -> None:
    server = socketserver.ThreadingTCPServer(LOOPBACK, UpperHandler)
    with trio.fail_after(STUCK):
        async with trio.open_nursery() as nursery:
            await nursery.start(partial(serve_socketserver, server, drain_timeout=0.01))
            with connect_blocking(server) as client:
                assert await in_thread(ask, client) == b"HELLO\n"
                await in_thread(server.shutdown)
                assert await in_thread(client.recv, 10) == b""


class DaemonServer(socketserver.ThreadingTCPServer):
    """Does not wait for its threads."""

    daemon_threads = True


async def test_a_shutdown_interrupts_the_requests_of_daemon_threads() -> None:
    async with driving(DaemonServer(LOOPBACK, UpperHandler)) as server:
        with connect_blocking(server) as client:
            assert await in_thread(ask, client) == b"HELLO\n"
            await in_thread(server.shutdown)
            assert await in_thread(client.recv, 10) == b""


async def test_without_block_on_close_server_close_waits_for_nobody() -> None:
    server = GateServer()
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
    async with driving(socketserver.TCPServer(LOOPBACK, UpperHandler)) as server:
        with connect_blocking(server) as first, connect_blocking(server) as second:
            assert await in_thread(ask, first) == b"HELLO\n"
            # The second one waits in the queue, because the first one is being served.
            await in_thread(server.shutdown)
            first.close()
            assert await in_thread(ask, second) == b"HELLO\n"


@pytest.mark.parametrize("server_class", [*SERVERS, DaemonServer])
async def test_a_cancellation_wakes_handlers_that_wait_for_their_clients(
    server_class: type[socketserver.TCPServer],
) -> None:
    with trio.fail_after(STUCK):
        async with trio.open_nursery() as nursery:
            server = await nursery.start(
                serve_socketserver, server_class(LOOPBACK, UpperHandler)
            )
            with connect_blocking(server) as client:
                assert await in_thread(ask, client) == b"HELLO\n"
                nursery.cancel_scope.cancel()
        assert server.socket.fileno() == -1


async def test_a_cancellation_waits_for_a_thread_that_computes() -> None:
    server = GateServer()
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


def _open_later(server: GateServer) -> None:
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
