"""What a datagram costs, in what can be counted: calls of the system, and steps."""

from __future__ import annotations

import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import trio.testing

from kit.counting import CALLS, CountedSocket, counting
from kit.datagrams import UpperDatagramHandler
from kit.serving import LOOPBACK, serving
from trioserver import UDPServer
from trioserver._engine.accept_loop import ACCEPT_BATCH

ROUNDS = 50


@asynccontextmanager
async def asked_by_datagram() -> AsyncIterator[tuple[UDPServer, socket.socket]]:
    """Serve a client, which has asked once, so that everything is warm."""
    server = UDPServer(LOOPBACK, UpperDatagramHandler)
    server.socket.__class__ = CountedSocket
    async with serving(server):
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
            client.connect(server.server_address)
            client.setblocking(False)
            await exchange(client, 1)
            yield server, client


async def exchange(client: socket.socket, count: int) -> None:
    """Send datagrams all at once, and receive as many."""
    for _ in range(count):
        client.send(b"hello")
    await trio.testing.wait_all_tasks_blocked()
    assert [client.recv(100) for _ in range(count)] == [b"HELLO"] * count


async def test_a_datagram_costs_one_wait_and_one_step_of_its_task() -> None:
    async with asked_by_datagram() as (server, client):
        with counting(server) as steps:
            for _ in range(ROUNDS):
                await exchange(client, 1)

            # The second call that receives finds nothing.
            assert {
                "recvfrom": 2 * ROUNDS,
                "sendto": ROUNDS,
                "epoll_ctl": ROUNDS,
            } == CALLS
            assert steps["_run_short"] == ROUNDS
            assert ROUNDS <= steps["serve"] <= 2 * ROUNDS


async def test_datagrams_that_have_come_together_share_a_step() -> None:
    async with asked_by_datagram() as (server, client):
        with counting(server) as steps:
            for _ in range(ROUNDS):
                await exchange(client, ACCEPT_BATCH - 1)

            sent = (ACCEPT_BATCH - 1) * ROUNDS
            assert {
                "recvfrom": sent + ROUNDS,
                "sendto": sent,
                "epoll_ctl": ROUNDS,
            } == CALLS
            # Two, where the accept loop has let others run in the midst of it.
            assert ROUNDS <= steps["_run_short"] <= 2 * ROUNDS
