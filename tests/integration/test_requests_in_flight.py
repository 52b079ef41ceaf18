"""What becomes of the requests in flight: the table of decisions, cell by cell."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
import trio
import trio.testing

from kit.serving import (
    STUCK,
    GateHandler,
    GateServer,
    ask,
    connect,
    receive_all,
    serving,
)
from trioserver import BaseServer

CLIENTS = 3


@asynccontextmanager
async def busy(
    server: GateServer, count: int = CLIENTS
) -> AsyncIterator[list[trio.SocketStream]]:
    """Have *count* requests wait at the server's gate."""
    clients = [await connect(server) for _ in range(count)]
    try:
        for client in clients:
            await client.send_all(b"work\n")
        await server.wait_inside(count)
        yield clients
    finally:
        for client in clients:
            client.socket.close()


async def test_join_waits_for_the_requests_without_a_limit() -> None:
    server = GateServer()
    with trio.fail_after(STUCK):
        async with trio.open_nursery() as nursery:
            await nursery.start(server.serve)
            async with busy(server) as clients:
                await server.shutdown()
                await trio.testing.wait_all_tasks_blocked()
                assert server.inside == CLIENTS

                server.gate.set()
                replies = [await receive_all(client) for client in clients]

    assert replies == [b"WORK\n"] * CLIENTS
    assert (server.finished, server.cancelled) == (CLIENTS, 0)


async def test_server_close_itself_joins() -> None:
    server = GateServer()
    with trio.fail_after(STUCK):
        async with trio.open_nursery() as nursery:
            await nursery.start(server.serve)
            async with busy(server, 1) as (client,):
                async with trio.open_nursery() as closing:
                    closing.start_soon(server.server_close)
                    await trio.testing.wait_all_tasks_blocked()
                    assert server.inside == 1
                    server.gate.set()
                    await client.aclose()
                assert server.finished == 1


async def test_join_cancels_what_still_runs_after_drain_timeout(
    caplog: pytest.LogCaptureFixture,
) -> None:
    server = GateServer()
    server.drain_timeout = 0.05
    with trio.fail_after(STUCK):
        async with trio.open_nursery() as nursery:
            await nursery.start(server.serve)
            async with busy(server):
                await server.shutdown()
                await server.server_close()
                assert server.cancelled == CLIENTS

    (record,) = caplog.records
    assert record.levelno == logging.WARNING
    assert f"(requests: {CLIENTS})" in record.getMessage()


async def test_a_drain_timeout_of_zero_cancels_at_once() -> None:
    server = GateServer()
    server.drain_timeout = 0
    with trio.fail_after(STUCK):
        async with trio.open_nursery() as nursery:
            await nursery.start(server.serve)
            async with busy(server):
                await server.shutdown()
                await server.server_close()

    assert server.cancelled == CLIENTS


@pytest.mark.parametrize("block_on_close", [True, False])
async def test_daemon_requests_are_cancelled_at_once(block_on_close: bool) -> None:
    server = GateServer()
    server.daemon_requests = True
    server.block_on_close = block_on_close
    with trio.fail_after(STUCK):
        async with trio.open_nursery() as nursery:
            await nursery.start(server.serve)
            async with busy(server):
                await server.shutdown()
                await server.server_close()
                assert server.cancelled == CLIENTS


async def test_unblocked_close_returns_and_serve_joins() -> None:
    server = GateServer()
    server.block_on_close = False
    with trio.fail_after(STUCK):
        async with trio.open_nursery() as nursery:
            await nursery.start(server.serve)
            async with busy(server) as clients:
                await server.server_close()
                assert (server.inside, server.fileno()) == (CLIENTS, -1)

                server.gate.set()
                replies = [await receive_all(client) for client in clients]

    assert replies == [b"WORK\n"] * CLIENTS


async def test_unblocked_requests_outlive_serve_in_the_callers_nursery() -> None:
    server = GateServer()
    server.block_on_close = False
    with trio.fail_after(STUCK):
        async with trio.open_nursery() as handlers:
            async with trio.open_nursery() as nursery:
                await _start(nursery, server, handlers)
                clients = [await connect(server) for _ in range(CLIENTS)]
                for client in clients:
                    await client.send_all(b"work\n")
                await server.wait_inside(CLIENTS)
                await server.shutdown()
            # serve() has returned, and the requests go on.
            assert (server.inside, server.fileno()) == (CLIENTS, -1)

            server.gate.set()
            replies = [await receive_all(client) for client in clients]
            for client in clients:
                await client.aclose()

    assert replies == [b"WORK\n"] * CLIENTS


async def test_blocked_close_joins_requests_in_the_callers_nursery() -> None:
    server = GateServer()
    with trio.fail_after(STUCK):
        async with trio.open_nursery() as handlers, trio.open_nursery() as nursery:
            await _start(nursery, server, handlers)
            async with busy(server, 1) as (client,):
                await server.shutdown()
                await trio.testing.wait_all_tasks_blocked()
                assert len(nursery.child_tasks) == 1

                server.gate.set()
                assert await receive_all(client) == b"WORK\n"


@pytest.mark.parametrize("daemon_requests", [True, False])
@pytest.mark.parametrize("block_on_close", [True, False])
@pytest.mark.parametrize("own_nursery", [True, False])
async def test_cancelling_serve_cancels_the_requests_at_once(
    daemon_requests: bool, block_on_close: bool, own_nursery: bool
) -> None:
    server = GateServer()
    server.daemon_requests = daemon_requests
    server.block_on_close = block_on_close
    with trio.fail_after(STUCK):
        async with trio.open_nursery() as handlers, trio.open_nursery() as nursery:
            await _start(nursery, server, None if own_nursery else handlers)
            async with busy(server):
                nursery.cancel_scope.cancel()

    assert (server.cancelled, server.fileno()) == (CLIENTS, -1)


async def test_cancelling_serve_while_it_drains_cancels_the_requests() -> None:
    server = GateServer()
    with trio.fail_after(STUCK):
        async with trio.open_nursery() as nursery:
            await nursery.start(server.serve)
            async with busy(server):
                await server.shutdown()
                nursery.cancel_scope.cancel()

    assert server.cancelled == CLIENTS


async def test_cancelling_the_handler_nursery_stops_the_server() -> None:
    server = GateServer()
    with trio.fail_after(STUCK):
        async with trio.open_nursery() as nursery:
            handlers = await nursery.start(_hold_nursery)
            await _start(nursery, server, handlers)
            client = await connect(server)
            await client.send_all(b"work\n")
            await server.wait_inside(1)

            handlers.cancel_scope.cancel()

        await client.aclose()
    assert (server.cancelled, server.fileno()) == (1, -1)


async def test_an_error_in_the_block_cancels_the_requests() -> None:
    server = GateServer()
    message = "mine"
    with pytest.raises(LookupError, match=message), trio.fail_after(STUCK):
        async with server, busy_loop(server):
            raise LookupError(message)

    assert server.cancelled == 1


async def test_closing_a_daemon_server_leaves_the_rest_of_the_block_alone() -> None:
    server = GateServer()
    server.daemon_requests = True
    with trio.fail_after(STUCK):
        async with server, trio.open_nursery() as nursery:
            await nursery.start(server.serve_forever)
            async with busy(server):
                await server.server_close()
                await trio.lowlevel.checkpoint()

    assert server.cancelled == CLIENTS


async def test_finish_sends_what_was_written_before_the_cancellation() -> None:
    class Buffered(GateHandler):
        wbufsize = -1

        async def handle(self) -> None:
            await self.wfile.write(b"written\n")
            await super().handle()

    server = GateServer(Buffered)
    with trio.fail_after(STUCK):
        async with trio.open_nursery() as nursery:
            await nursery.start(server.serve)
            client = await connect(server)
            await client.send_all(b"work\n")
            await server.wait_inside(1)
            nursery.cancel_scope.cancel()
        async with client:
            assert await receive_all(client) == b"written\n"


async def test_a_cancelled_finish_is_given_up_after_cleanup_timeout() -> None:
    class Endless(GateHandler):
        finishing = False

        async def finish(self) -> None:
            Endless.finishing = True
            await trio.sleep_forever()

    server = GateServer(Endless)
    server.cleanup_timeout = 0.01
    with trio.fail_after(STUCK):
        async with trio.open_nursery() as nursery:
            await nursery.start(server.serve)
            async with await connect(server) as client:
                await client.send_all(b"work\n")
                await server.wait_inside(1)
                nursery.cancel_scope.cancel()

    assert Endless.finishing


async def test_in_flight_requests_are_counted() -> None:
    async with serving(GateServer()) as server:
        async with await connect(server) as client:
            await client.send_all(b"work\n")
            await server.wait_inside(1)
            assert server.requests_in_flight == 1
            assert "requests in flight: 1" in repr(server)

            server.gate.set()
            await receive_all(client)
        async with await connect(server) as client:
            assert await ask(client, b"again\n") == b"AGAIN\n"


@asynccontextmanager
async def busy_loop(server: GateServer) -> AsyncIterator[None]:
    """Have one request at the gate, and the accept loop ended again."""
    async with trio.open_nursery() as nursery:
        await nursery.start(server.serve_forever)
        client = await connect(server)
        await client.send_all(b"work\n")
        await server.wait_inside(1)
        await server.shutdown()
    async with client:
        yield


async def _start(
    nursery: trio.Nursery, server: GateServer, handlers: trio.Nursery | None
) -> None:
    async def serve(*, task_status: trio.TaskStatus[BaseServer]) -> None:
        await server.serve(handler_nursery=handlers, task_status=task_status)

    await nursery.start(serve)


async def _hold_nursery(*, task_status: trio.TaskStatus[trio.Nursery]) -> None:
    async with trio.open_nursery() as nursery:
        task_status.started(nursery)
        await trio.sleep_forever()
