"""A flood of datagrams starves nobody, and takes a bounded amount of memory."""

from __future__ import annotations

import re
import socket
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import trio

from kit.datagrams import UpperDatagramHandler
from kit.programs import output_of
from kit.serving import (
    LOOPBACK,
    UpperHandler,
    connect,
    eventually,
    serving,
)
from kit.serving import ask as ask_tcp
from trioserver import (
    DatagramRequestHandler,
    DatagramSessionHandler,
    TCPServer,
    UDPServer,
    UDPSessionServer,
)

FLOOD = Path(__file__).parents[1] / "kit" / "udp_flood.py"

# Bytes that a flood may make a process grow by.
MAX_GROWTH_MIB = 5


def flood(address: tuple[str, int], is_over: threading.Event) -> None:
    """Send as fast as it goes."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.connect(address)
        while not is_over.is_set():
            sock.send(b"flood")


@asynccontextmanager
async def flooded(server: UDPServer) -> AsyncIterator[None]:
    """Flood *server* from a thread while the block runs."""
    is_over = threading.Event()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(
            trio.to_thread.run_sync, flood, server.server_address, is_over
        )
        try:
            await eventually(lambda: server.statistics().received > 100)
            yield
        finally:
            is_over.set()


class SilentHandler(DatagramRequestHandler):
    async def handle(self) -> None:
        pass


class SilentSessionHandler(DatagramSessionHandler):
    async def handle(self) -> None:
        async for _ in self.session:
            pass


@pytest.mark.parametrize(
    "udp",
    [
        lambda: UDPServer(LOOPBACK, SilentHandler),
        lambda: UDPSessionServer(LOOPBACK, SilentSessionHandler),
    ],
    ids=["requests", "sessions"],
)
async def test_a_tcp_client_is_served_while_a_udp_flood_runs(
    udp: type[UDPServer],
) -> None:
    async with serving(TCPServer(LOOPBACK, UpperHandler)) as tcp:
        async with serving(udp()) as server, flooded(server):  # type: ignore[call-arg]  # a factory
            before = server.statistics().received
            async with await connect(tcp) as client:
                replies = [await ask_tcp(client, b"hello\n") for _ in range(20)]
            during = server.statistics().received - before

    assert replies == [b"HELLO\n"] * 20
    assert during > 0


async def test_another_udp_client_is_served_too() -> None:
    """As far as its datagrams find room in the queue: it asks until it is answered."""
    async with serving(UDPServer(LOOPBACK, UpperDatagramHandler)) as server:
        async with flooded(server):
            with trio.socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
                await client.connect(server.server_address)
                reply = b""
                while not reply:
                    await client.send(b"hello")
                    with trio.move_on_after(0.1):
                        reply = await client.recv(100)

    assert reply == b"HELLO"


@pytest.mark.parametrize(
    "options", [("--limit", "100"), (), ("--sessions", "--max-sessions", "100")]
)
@pytest.mark.slow
async def test_memory_is_bounded(options: tuple[str, ...]) -> None:
    """Of a server whose handlers need a second for each datagram."""
    printed = await output_of(str(FLOOD), "--seconds", "1.5", *options)

    growth = re.search(r"growth: (-?[\d.]+) MiB", printed)
    dropped = re.search(r"dropped_by_kernel=(\d+)", printed)
    assert growth is not None
    assert dropped is not None
    assert float(growth[1]) < MAX_GROWTH_MIB
    assert int(dropped[1]) > 0
