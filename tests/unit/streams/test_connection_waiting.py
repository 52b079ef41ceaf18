"""`Connection`: waits that end too early."""

from __future__ import annotations

import socket

import trio
import trio.testing

from kit.serving import STUCK
from trioserver._streams.readiness import TrioReadiness
from unit.streams.pairs import connected, fill, socket_pair


class HastyReadiness(TrioReadiness):
    """Ends its first wait in each direction too early, as it may."""

    def __init__(self, sock: socket.socket) -> None:
        super().__init__(sock)
        self.socket = sock
        self.calls: list[str] = []

    async def wait_readable(self) -> None:
        self.calls.append("readable")
        if self.calls.count("readable") > 1:
            await trio.lowlevel.wait_readable(self.socket)

    async def wait_writable(self) -> None:
        self.calls.append("writable")
        if self.calls.count("writable") > 1:
            await trio.lowlevel.wait_writable(self.socket)

    def note_drained(self) -> None:
        self.calls.append("drained")

    def close(self) -> None:
        self.calls.append("close")


async def test_tries_again_when_a_wait_to_receive_has_ended_too_early() -> None:
    ours, theirs = socket_pair()
    readiness = HastyReadiness(ours)
    with connected((ours, theirs), readiness=readiness) as (connection, peer):
        with trio.fail_after(STUCK):
            async with trio.open_nursery() as nursery:
                nursery.start_soon(connection.receive_some)
                await trio.testing.wait_all_tasks_blocked()
                await peer.send_all(b"x")

    assert readiness.calls == ["readable", "readable", "drained", "close"]


async def test_tries_again_when_a_wait_to_send_has_ended_too_early() -> None:
    ours, theirs = socket_pair()
    readiness = HastyReadiness(ours)
    with connected((ours, theirs), readiness=readiness) as (connection, peer):
        fill(connection.socket)
        with trio.fail_after(STUCK):
            async with trio.open_nursery() as nursery:
                nursery.start_soon(connection.send_some, b"x")
                await trio.testing.wait_all_tasks_blocked()
                while nursery.child_tasks:
                    await peer.receive_some(65536)
                    await trio.testing.wait_all_tasks_blocked()

    assert readiness.calls == ["writable", "writable", "close"]
