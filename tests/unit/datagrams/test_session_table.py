"""Who has a session: no sockets, and no waiting."""

from __future__ import annotations

import math
import socket
import struct
from collections.abc import Sequence

import attrs
import trio
from hypothesis import given, settings
from hypothesis import strategies as st

from trioserver._datagrams.datagram_socket import DatagramSocket
from trioserver._datagrams.receiver import Datagram
from trioserver._datagrams.replies import Replies
from trioserver._datagrams.session import DatagramSession, DropPolicy
from trioserver._datagrams.session_table import SessionTable
from trioserver._datagrams.statistics import SessionCounts
from unit.datagrams.scripted import Outcome, ScriptedSocket, as_socket


@attrs.define
class World:
    """A table with its limits, in which handlers end when they are told."""

    max_sessions: float = 2
    session_timeout: float = math.inf
    session_queue_size: int = 4
    session_drop_policy: DropPolicy = "newest"
    counts: SessionCounts = attrs.field(factory=SessionCounts)
    refused: list[object] = attrs.field(factory=list)
    still_running: int = 0
    table: SessionTable = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        self.table = SessionTable(self, self.counts, self.running, self.refused.append)

    def running(self) -> int:
        return self.still_running + len(self.table)

    def arrive(self, peer: str, to: str = "") -> DatagramSession | None:
        datagram, sock = came(peer, to)
        return self.table.deliver(datagram, sock)


def came(peer: str, to: str = "") -> tuple[Datagram, DatagramSocket]:
    """Return a datagram of *peer*, and the socket that answers it."""
    info = struct.pack("=i4s4s", 0, socket.inet_aton(to or "0.0.0.0"), bytes(4))  # noqa: S104  # nobody has told
    datagram = Datagram(
        b"data", (peer, 1), [(socket.IPPROTO_IP, 8, info)], is_truncated=False
    )
    outcomes: Sequence[Outcome] = [4] * 10
    return datagram, DatagramSocket(
        datagram, Replies(as_socket(ScriptedSocket(outcomes)))
    )


def establish(world: World, peer: str) -> DatagramSession:
    """Begin a session in which both sides have sent something."""
    session = world.arrive(peer)
    assert session is not None
    trio.run(session.send, b"ok")
    world.arrive(peer)
    return session


def test_a_peer_gets_one_session() -> None:
    world = World()

    first, second = world.arrive("a"), world.arrive("a")

    assert first is not None
    assert second is None
    assert len(world.table) == 1


def test_each_peer_gets_its_own() -> None:
    world = World()

    assert world.arrive("a") is not world.arrive("b")
    assert world.counts.started == world.counts.peak_sessions == 2


def test_a_peer_that_writes_to_two_addresses_of_ours_gets_two() -> None:
    world = World()

    assert world.arrive("a", to="127.0.0.1") is not None
    assert world.arrive("a", to="127.0.0.2") is not None
    assert world.arrive("a", to="127.0.0.1") is None


def test_a_peer_that_comes_back_gets_another_one() -> None:
    world = World()
    first = world.arrive("a")
    assert first is not None
    first.end("expired")

    second = world.arrive("a")

    assert second is not first
    assert second is not None


def test_a_newcomer_gets_the_place_of_who_is_silent_for_the_longest_time() -> None:
    world = World()
    first, second = world.arrive("a"), world.arrive("b")
    world.arrive("a")

    assert world.arrive("c") is not None

    assert first is not None
    assert second is not None
    assert (first.end_reason, second.end_reason) == (None, "evicted")
    assert world.counts.evicted == 1


def test_who_is_established_keeps_the_place() -> None:
    world = World()
    first, second = establish(world, "a"), world.arrive("b")

    world.arrive("c")

    assert second is not None
    assert (first.end_reason, second.end_reason) == (None, "evicted")


def test_a_newcomer_is_refused_when_all_are_established() -> None:
    world = World()
    establish(world, "a")
    establish(world, "b")

    assert world.arrive("c") is None
    assert world.refused == [("c", 1)]
    assert world.counts.refused == 1


def test_handlers_that_do_not_end_are_bounded() -> None:
    world = World(still_running=2)
    world.arrive("a")
    world.arrive("b")

    assert world.arrive("c") is None
    assert world.refused == [("c", 1)]


def test_a_lowered_limit_makes_newcomers_evict_until_it_holds() -> None:
    world = World(max_sessions=4)
    for peer in "abcd":
        world.arrive(peer)
    world.max_sessions = 3
    world.still_running = -2

    world.arrive("e")

    assert len(world.table) == 3
    assert world.counts.evicted == 2


def test_no_limit_is_no_limit() -> None:
    world = World(max_sessions=math.inf)

    assert all(world.arrive(str(peer)) for peer in range(100))


def test_nobody_new_gets_in_at_a_limit_of_zero() -> None:
    world = World(max_sessions=0)

    assert world.arrive("a") is None


def test_can_be_asked_for_known_peers_only() -> None:
    world = World()
    known = world.arrive("a")
    world.table.deliver_if_known(*came("a"))
    world.table.deliver_if_known(*came("b"))

    assert known is not None
    assert repr(known).endswith("2 waiting>")
    assert world.counts.refused == 1
    assert world.refused == []


def test_ends_all_when_the_server_stops() -> None:
    world = World()
    sessions = [world.arrive("a"), establish(world, "b")]

    world.table.end_all()

    assert [session and session.end_reason for session in sessions] == ["stopped"] * 2
    assert len(world.table) == 0


@settings(deadline=None)
@given(
    peers=st.lists(st.sampled_from("abcdefgh"), max_size=60),
    max_sessions=st.integers(0, 5),
    still_running=st.integers(0, 5),
)
def test_whatever_comes_the_bounds_hold_and_every_datagram_is_accounted_for(
    peers: list[str], max_sessions: int, still_running: int
) -> None:
    world = World(max_sessions, still_running=still_running, session_queue_size=100)
    waiting = 0

    for peer in peers:
        world.arrive(peer)
        assert len(world.table) <= max_sessions
        assert world.running() <= max(2 * max_sessions, still_running)
    sessions = list(world.table._sessions.values())
    waiting = sum(len(session._queue) for session in sessions)

    counts = world.counts
    assert counts.started - counts.evicted == len(world.table)
    assert waiting + counts.refused <= len(peers)
    if not counts.evicted:
        assert waiting + counts.refused == len(peers)
