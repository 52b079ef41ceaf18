"""The ways to run a server."""

from __future__ import annotations

import trio

from kit.serving import LOOPBACK, STUCK, UpperHandler, ask, connect, serving
from trioserver import TCPServer


async def test_serves_as_a_task_that_start_returns_the_server_of() -> None:
    server = TCPServer(LOOPBACK, UpperHandler)

    with trio.fail_after(STUCK):
        async with trio.open_nursery() as nursery:
            started = await nursery.start(server.serve)
            async with await connect(server) as client:
                reply = await ask(client, b"hello\n")
            await server.shutdown()

    assert started is server
    assert reply == b"HELLO\n"
    assert server.fileno() == -1


async def test_serves_many_clients_at_once() -> None:
    async with serving(TCPServer(LOOPBACK, UpperHandler)) as server:
        clients = [await connect(server) for _ in range(10)]

        replies = [await ask(client, b"%d x\n" % i) for i, client in enumerate(clients)]

        for client in clients:
            await client.aclose()

    assert replies == [b"%d X\n" % i for i in range(10)]


async def test_its_connections_wait_by_the_layer_that_was_chosen(layer: str) -> None:
    found: list[object] = []

    class Noting(UpperHandler):
        async def setup(self) -> None:
            await super().setup()
            found.append(type(self.request._ready).__name__)

    async with serving(TCPServer(LOOPBACK, Noting)) as server:
        async with await connect(server) as client:
            await ask(client, b"hello\n")

    assert found == [{"edges": "EdgeReadiness", "portable": "TrioReadiness"}[layer]]
