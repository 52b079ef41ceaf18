"""A server runs for the length of a block, and nothing of it remains."""

from __future__ import annotations

import os
from collections.abc import Awaitable

import pytest
import trio

from kit.serving import (
    LOOPBACK,
    STUCK,
    GateServer,
    UpperHandler,
    ask,
    connect,
    eventually,
)
from trioserver import BaseServer, ServerClosedError, StreamRequestHandler, TCPServer
from trioserver.testing import LeakError, StillRunningError, running


async def test_serves_while_the_block_runs() -> None:
    server = TCPServer(LOOPBACK, UpperHandler)

    async with running(server) as same:
        async with await connect(server) as client:
            assert await ask(client, b"hello\n") == b"HELLO\n"

    assert same is server
    with pytest.raises(ServerClosedError):
        await server.serve()


async def test_waits_for_the_requests() -> None:
    server = GateServer()
    async with running(server):
        client = await connect(server)
        await client.send_all(b"hello\n")
        await server.wait_inside(1)
        server.gate.set()
        async with client:
            assert await client.receive_some() == b"HELLO\n"

    assert server.finished == 1


async def test_names_the_tasks_that_do_not_end() -> None:
    server = GateServer()

    with pytest.raises(StillRunningError) as caught:
        async with running(server, patience=0.01):
            client = await connect(server)
            await client.send_all(b"hello\n")
            await server.wait_inside(1)
    await client.aclose()

    assert "0.01 s after shutdown() these have not ended:" in str(caught.value)
    # That of the request alone: the library's own tasks say nothing.
    (task,) = caught.value.tasks
    assert "GateServer.pass_gate" in task
    assert str(caught.value).endswith("set\nthe server's drain_timeout.")
    assert server.cancelled == 1


def never_answer(*_: object) -> Awaitable[None]:
    return trio.sleep_forever()  # noqa: ASYNC105  # the server awaits it


async def test_names_all_tasks_if_none_runs_code_of_yours() -> None:
    server = TCPServer(LOOPBACK, never_answer)

    with pytest.raises(StillRunningError) as caught:
        async with running(server, patience=0.01):
            client = await connect(server)
            await trio.testing.wait_all_tasks_blocked(0.01)
    await client.aclose()

    assert any("sleep_forever" in task for task in caught.value.tasks)
    assert len(caught.value.tasks) > 1


async def test_says_what_still_runs_before_it_waits_for_the_end_of_that(
    caplog: pytest.LogCaptureFixture,
) -> None:
    class ShieldedHandler(UpperHandler):
        async def handle(self) -> None:
            with trio.CancelScope(shield=True):
                await gate.wait()

    gate = trio.Event()
    server = TCPServer(LOOPBACK, ShieldedHandler)

    async def end_it_once_it_was_told() -> None:
        await eventually(lambda: "ShieldedHandler.handle" in caplog.text)
        gate.set()

    with trio.fail_after(STUCK):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(end_it_once_it_was_told)
            with pytest.raises(StillRunningError):
                async with running(server, patience=0.01):
                    async with await connect(server):
                        await eventually(lambda: server.requests_in_flight)

    assert "0.01 s after shutdown() these have not ended:" in caplog.text


async def test_what_another_server_is_about_to_close_is_waited_for() -> None:
    class LingeringHandler(StreamRequestHandler):
        async def handle(self) -> None:
            await self.rfile.read()
            await trio.sleep(0.02)

    other = TCPServer(LOOPBACK, LingeringHandler)
    async with running(other):
        async with running(TCPServer(LOOPBACK, UpperHandler)):
            async with await connect(other):
                await eventually(lambda: other.requests_in_flight)


async def test_fails_if_a_handler_leaves_a_descriptor() -> None:
    class LosingHandler(StreamRequestHandler):
        async def handle(self) -> None:
            lost.append(os.open(os.devnull, os.O_RDONLY))

    lost: list[int] = []

    with pytest.raises(LeakError, match="-> /dev/null") as caught:
        async with running(TCPServer(LOOPBACK, LosingHandler)) as server:
            async with await connect(server) as client:
                await client.receive_some()
    for descriptor in lost:
        os.close(descriptor)

    assert len(caught.value.leaks) == 1


async def test_an_error_in_the_block_surfaces_as_itself() -> None:
    server = GateServer()

    with trio.fail_after(STUCK):
        with pytest.raises(LookupError):
            async with running(server):
                async with await connect(server) as client:
                    await client.send_all(b"hello\n")
                    await server.wait_inside(1)
                    raise LookupError

    assert server.cancelled == 1


class NoNetwork:
    """Moves a server nowhere, and remembers it."""

    def __init__(self) -> None:
        self.adopted: list[BaseServer] = []

    def adopt(self, server: BaseServer) -> None:
        self.adopted.append(server)


async def test_moves_the_server_to_a_network() -> None:
    network = NoNetwork()

    async with running(TCPServer(LOOPBACK, UpperHandler), network) as server:
        pass

    assert network.adopted == [server]
