"""Stopping a server: when, from where, how often."""

from __future__ import annotations

import threading

import pytest
import trio

from kit.serving import (
    LOOPBACK,
    STUCK,
    GateServer,
    UpperHandler,
    ask,
    connect,
    receive_all,
    serving,
)
from trioserver import (
    AlreadyServingError,
    ServerClosedError,
    StreamRequestHandler,
    TCPServer,
)


@pytest.fixture
def server() -> TCPServer:
    return TCPServer(LOOPBACK, UpperHandler)


async def test_shutdown_before_serving_ends_the_first_serve(server: TCPServer) -> None:
    with trio.fail_after(STUCK):
        await server.shutdown()
        await server.serve()

    assert server.fileno() == -1


async def test_shutdown_right_after_start_soon_ends_serve() -> None:
    for _ in range(20):
        server = TCPServer(LOOPBACK, UpperHandler)
        with trio.fail_after(STUCK):
            async with trio.open_nursery() as nursery:
                nursery.start_soon(server.serve)
                await server.shutdown()

        assert server.fileno() == -1


async def test_shutdown_after_a_loop_does_not_end_the_next_one(
    server: TCPServer,
) -> None:
    with trio.fail_after(STUCK):
        async with server:
            async with trio.open_nursery() as nursery:
                await nursery.start(server.serve_forever)
                await server.shutdown()
            await server.shutdown()
            async with trio.open_nursery() as nursery:
                await nursery.start(server.serve_forever)
                async with await connect(server) as client:
                    reply = await ask(client, b"again\n")
                await server.shutdown()

    assert reply == b"AGAIN\n"


async def test_shutdown_twice_and_from_two_tasks(server: TCPServer) -> None:
    async with serving(server):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(server.shutdown)
            nursery.start_soon(server.shutdown)
        await server.shutdown()


async def test_shutdown_returns_while_requests_are_running() -> None:
    async with serving(GateServer()) as server:
        async with await connect(server) as client:
            await client.send_all(b"slow\n")
            await server.wait_inside(1)

            await server.shutdown()

            assert server.requests_in_flight == 1
            server.gate.set()
            assert await receive_all(client) == b"SLOW\n"


async def test_shutdown_from_a_handler() -> None:
    class StopHandler(StreamRequestHandler):
        async def handle(self) -> None:
            await self.server.shutdown()
            await self.wfile.write(b"stopped\n")

    server = TCPServer(LOOPBACK, StopHandler)
    with trio.fail_after(STUCK):
        async with trio.open_nursery() as nursery:
            await nursery.start(server.serve)
            async with await connect(server) as client:
                reply = await receive_all(client)

    assert reply == b"stopped\n"


async def test_shutdown_from_another_thread(server: TCPServer) -> None:
    token = trio.lowlevel.current_trio_token()

    def stop() -> None:
        trio.from_thread.run(server.shutdown, trio_token=token)

    with trio.fail_after(STUCK):
        async with trio.open_nursery() as nursery:
            await nursery.start(server.serve)
            thread = threading.Thread(target=stop)
            thread.start()
        await trio.to_thread.run_sync(thread.join)

    assert server.fileno() == -1


async def test_shutdown_from_get_request() -> None:
    class OneShot(TCPServer):
        async def get_request(self) -> tuple[object, object]:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self.shutdown)
                return await super().get_request()

    with trio.fail_after(STUCK):
        await OneShot(LOOPBACK, UpperHandler).serve()


async def test_server_close_while_serving_ends_serve(server: TCPServer) -> None:
    with trio.fail_after(STUCK):
        async with trio.open_nursery() as nursery:
            await nursery.start(server.serve)
            await server.server_close()

    assert server.fileno() == -1


async def test_server_close_from_a_handler_does_not_wait_for_itself() -> None:
    class CloseHandler(StreamRequestHandler):
        async def handle(self) -> None:
            await self.server.server_close()
            await self.wfile.write(b"closed\n")

    server = TCPServer(LOOPBACK, CloseHandler)
    with trio.fail_after(STUCK):
        async with trio.open_nursery() as nursery:
            await nursery.start(server.serve)
            first, second = await connect(server), await connect(server)
            async with first, second:
                replies = [await receive_all(first), await receive_all(second)]

    assert replies == [b"closed\n", b"closed\n"]


async def test_server_close_twice_and_from_two_tasks(server: TCPServer) -> None:
    with trio.fail_after(STUCK):
        async with trio.open_nursery() as nursery:
            await nursery.start(server.serve)
            nursery.start_soon(server.server_close)
            nursery.start_soon(server.server_close)
        await server.server_close()

    assert server.fileno() == -1


async def test_closing_the_socket_itself_ends_serve(server: TCPServer) -> None:
    with trio.fail_after(STUCK):
        async with trio.open_nursery() as nursery:
            await nursery.start(server.serve)
            with server:
                pass

    assert server.fileno() == -1


async def test_a_closed_server_does_not_serve_again(server: TCPServer) -> None:
    await server.server_close()

    for serve in (server.serve, server.serve_forever, server.handle_request):
        with pytest.raises(ServerClosedError, match="make a new one"):
            await serve()
    with pytest.raises(ServerClosedError, match="make a new one"):
        await server.__aenter__()


async def test_serving_twice_at_once_is_refused(server: TCPServer) -> None:
    async with serving(server):
        for serve in (server.serve, server.serve_forever, server.handle_request):
            with pytest.raises(AlreadyServingError, match="serving already"):
                await serve()


async def test_serve_inside_async_with_is_refused(server: TCPServer) -> None:
    async with server:
        with pytest.raises(AlreadyServingError, match="await serve_forever"):
            await server.serve()


async def test_two_loops_that_begin_together_are_refused(server: TCPServer) -> None:
    with pytest.RaisesGroup(AlreadyServingError), trio.fail_after(STUCK):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(server.serve_forever)
            nursery.start_soon(server.serve_forever)
    await server.server_close()


def test_a_plain_with_closes_the_socket_outside_of_trio() -> None:
    with TCPServer(LOOPBACK, UpperHandler) as server:
        assert server.fileno() >= 0

    assert server.fileno() == -1


def test_a_plain_with_around_trio_run() -> None:
    class OneLine(UpperHandler):
        async def handle(self) -> None:
            await super().handle()
            await self.server.shutdown()

    async def main(server: TCPServer) -> bytes:
        reply = b""
        with trio.fail_after(STUCK):
            async with trio.open_nursery() as nursery:
                await nursery.start(server.serve_forever)
                async with await connect(server) as client:
                    reply = await ask(client, b"plain\n")
        return reply

    with TCPServer(LOOPBACK, OneLine) as server:
        assert trio.run(main, server) == b"PLAIN\n"
        assert server.fileno() >= 0

    assert server.fileno() == -1


async def test_serve_forever_alone_waits_for_its_requests() -> None:
    server = GateServer()
    with trio.fail_after(STUCK), server:
        async with trio.open_nursery() as nursery:
            await nursery.start(server.serve_forever)
            client = await connect(server)
            await client.send_all(b"late\n")
            await server.wait_inside(1)
            await server.shutdown()
            server.gate.set()
        async with client:
            assert await receive_all(client) == b"LATE\n"

    assert server.finished == 1


async def test_service_actions_run_beside_the_loop_and_end_with_it() -> None:
    class Acting(TCPServer):
        calls = 0

        async def service_actions(self) -> None:
            self.calls += 1
            if self.calls == 3:
                await self.shutdown()

    server = Acting(LOOPBACK, UpperHandler)
    with server, trio.fail_after(STUCK):
        await server.serve_forever(poll_interval=0.001)

    assert server.calls == 3


async def test_service_actions_may_be_a_plain_function_that_ends_serving() -> None:
    class Failing(TCPServer):
        def service_actions(self) -> None:  # type: ignore[override]  # a plain one
            message = "no more"
            raise LookupError(message)

    server = Failing(LOOPBACK, UpperHandler)
    with server, trio.fail_after(STUCK), pytest.raises(LookupError, match="no more"):
        await server.serve_forever(poll_interval=0.001)


@pytest.mark.parametrize("poll_interval", [-1, float("nan")])
async def test_a_bad_poll_interval_is_refused(
    server: TCPServer, poll_interval: float
) -> None:
    with server, pytest.raises(ValueError, match="poll_interval"):
        await server.serve_forever(poll_interval)


async def test_start_is_cancelled_while_the_server_starts(server: TCPServer) -> None:
    with trio.fail_after(STUCK):
        async with trio.open_nursery() as nursery:
            with trio.CancelScope() as scope:
                scope.cancel()
                await nursery.start(server.serve)

    assert server.fileno() == -1


async def test_server_close_may_be_overridden_by_a_plain_function() -> None:
    class Plain(TCPServer):
        closed = 0

        def server_close(self) -> None:  # type: ignore[override]  # a plain one
            self.closed += 1

    server = Plain(LOOPBACK, UpperHandler)
    async with server:
        pass

    assert (server.closed, server.fileno()) == (1, -1)


async def test_an_exit_does_not_wait_for_the_client() -> None:
    class Exiting(StreamRequestHandler):
        async def handle(self) -> None:
            raise SystemExit

    server = TCPServer(LOOPBACK, Exiting)
    server.linger_timeout = 2 * STUCK
    client = await connect(server)
    with trio.fail_after(STUCK), pytest.raises(SystemExit):
        await server.serve()
    await client.aclose()
