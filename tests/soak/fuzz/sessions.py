"""Whose session a datagram belongs to, in any order of peers and ends."""

from __future__ import annotations

from typing import Final

from soak.fuzz.source import Source
from trioserver import DatagramSession
from unit.datagrams.test_session_table import World

PEERS: Final = tuple(f"10.0.0.{number}" for number in range(12))


def mix_sessions_up(data: bytes) -> None:
    """Let peers come and sessions end, and look at the bounds after each step."""
    source = Source(data)
    world = World(
        max_sessions=source.number(5) + 1,
        session_queue_size=source.number(3) + 1,
        session_drop_policy=source.one_of(("newest", "oldest")),
    )
    running: list[DatagramSession] = []
    while not source.is_used_up:
        _step(world, running, source)
        assert len(world.table) <= world.max_sessions
        assert world.counts.peak_sessions <= world.max_sessions
        alive = [session for session in running if session.end_reason is None]
        assert len(world.table) == len(alive)
        assert len({session.client_address for session in alive}) == len(alive)


def _step(world: World, running: list[DatagramSession], source: Source) -> None:
    step = source.number(6)
    if step < 4:
        session = world.arrive(source.one_of(PEERS))
        running += [] if session is None else [session]
    elif running:
        session = source.one_of(running)
        if step == 4:
            session.end("expired")
            session.end("stopped")
        else:
            session.close()
