"""A server in memory can be ended at every moment, under a virtual clock."""

from __future__ import annotations

import trio
import trio.testing

from kit.datagrams import UpperDatagramHandler
from kit.serving import LOOPBACK, UpperHandler
from trioserver import TCPServer, UDPServer
from trioserver.testing import (
    Link,
    MemoryNetwork,
    Trial,
    cancel_everywhere,
    connect,
    open_datagram_client,
)


async def streams(trial: Trial) -> None:
    server = TCPServer(LOOPBACK, UpperHandler)
    async with trial.serving(server, MemoryNetwork(Link(delay=0.1, segment_bytes=3))):
        async with await connect(server) as client:
            trial.add_client(client)
            await client.send(b"hello\n")
            await client.expect_line(b"HELLO\n")
            await client.send_eof()
            await client.expect_eof()


async def datagrams(trial: Trial) -> None:
    server = UDPServer(LOOPBACK, UpperDatagramHandler)
    async with trial.serving(server, MemoryNetwork(Link(delay=0.1))):
        async with await open_datagram_client(server) as client:
            await client.send(b"hello\n")
            await client.expect(b"HELLO\n")


def virtual_clock() -> trio.abc.Clock:
    return trio.testing.MockClock(autojump_threshold=0)


def test_streams_end_cleanly_at_every_moment() -> None:
    report = cancel_everywhere(streams, sample=6, clock=virtual_clock)

    assert not report.failures, report


def test_datagrams_end_cleanly_at_every_moment() -> None:
    report = cancel_everywhere(datagrams, sample=6, clock=virtual_clock)

    assert not report.failures, report
