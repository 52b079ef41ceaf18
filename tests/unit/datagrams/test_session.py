"""One session by itself, with a virtual clock."""

from __future__ import annotations

import math

import attrs
import pytest
import trio
import trio.testing
from hypothesis import given, settings
from hypothesis import strategies as st

from trioserver._datagrams.datagram_socket import DatagramSocket
from trioserver._datagrams.receiver import Datagram
from trioserver._datagrams.replies import Replies
from trioserver._datagrams.session import DatagramSession, DropPolicy
from trioserver._datagrams.statistics import SessionCounts
from trioserver._streams.budget import OPERATIONS
from unit.datagrams.scripted import PEER, ScriptedSocket, as_socket


@attrs.define
class Limits:
    max_sessions: float = math.inf
    session_timeout: float = 60.0
    session_queue_size: int = 4
    session_drop_policy: DropPolicy = "newest"


@attrs.define
class Dialogue:
    """A session, what bounds it, and what it has sent."""

    limits: Limits = attrs.field(factory=Limits)
    counts: SessionCounts = attrs.field(factory=SessionCounts)
    scripted: ScriptedSocket = attrs.field(factory=ScriptedSocket)
    ends: int = 0

    def session(self) -> DatagramSession:
        sock = DatagramSocket(
            Datagram(b"", PEER, [], is_truncated=False),
            Replies(as_socket(self.scripted)),
        )
        return DatagramSession(
            PEER, sock, limits=self.limits, counts=self.counts, on_end=self.note_end
        )

    def note_end(self) -> None:
        self.ends += 1


async def test_returns_what_was_delivered_in_order() -> None:
    session = Dialogue().session()
    session.deliver(b"1")
    session.deliver(b"2")

    assert [await session.receive(), await session.receive()] == [b"1", b"2"]


async def test_waits_for_the_next_one(autojump_clock: trio.testing.MockClock) -> None:
    session = Dialogue().session()
    received = []

    async def receive() -> None:
        received.append(await session.receive())

    async with trio.open_nursery() as nursery:
        nursery.start_soon(receive)
        await trio.sleep(59)
        session.deliver(b"late")

    assert received == [b"late"]
    assert session.end_reason is None


async def test_expires_when_nothing_comes(
    autojump_clock: trio.testing.MockClock,
) -> None:
    dialogue = Dialogue()
    session = dialogue.session()
    session.deliver(b"only one")

    received = [data async for data in session]

    assert received == [b"only one"]
    assert trio.current_time() == 60
    assert (session.end_reason, dialogue.ends, dialogue.counts.expired) == (
        "expired",
        1,
        1,
    )


async def test_the_time_of_the_handler_is_not_the_peers(
    autojump_clock: trio.testing.MockClock,
) -> None:
    session = Dialogue().session()
    session.deliver(b"work")

    async with trio.open_nursery() as nursery:
        await session.receive()
        await trio.sleep(1000)
        nursery.start_soon(trio.testing.wait_all_tasks_blocked)
        nursery.start_soon(_deliver_after, session, 59)
        assert await session.receive() == b"next"


async def _deliver_after(session: DatagramSession, seconds: float) -> None:
    await trio.sleep(seconds)
    session.deliver(b"next")


async def test_has_a_timeout_of_its_own(autojump_clock: trio.testing.MockClock) -> None:
    session = Dialogue().session()
    session.timeout = 5

    with pytest.raises(trio.EndOfChannel):
        await session.receive()

    assert trio.current_time() == 5


async def test_waits_for_ever_without_one(
    autojump_clock: trio.testing.MockClock,
) -> None:
    session = Dialogue(Limits(session_timeout=math.inf)).session()

    with trio.move_on_after(1e6) as scope:
        await session.receive()

    assert scope.cancelled_caught
    assert session.end_reason is None


async def test_what_comes_at_the_last_moment_is_received(
    autojump_clock: trio.testing.MockClock,
) -> None:
    """It comes after the wait has timed out, and before its task runs again."""
    session = Dialogue().session()
    received = []

    async def receive() -> None:
        received.append(await session.receive())

    class DeliverAtTheEnd(trio.abc.Instrument):
        def task_scheduled(self, task: trio.lowlevel.Task) -> None:
            if trio.current_time() >= 60 and not received:
                session.deliver(b"in time")

    instrument = DeliverAtTheEnd()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(receive)
        trio.lowlevel.add_instrument(instrument)
    trio.lowlevel.remove_instrument(instrument)

    assert received == [b"in time"]
    assert session.end_reason is None


async def test_a_cancelled_receive_loses_nothing() -> None:
    session = Dialogue().session()
    session.deliver(b"1")

    with trio.CancelScope() as scope:
        scope.cancel()
        await session.receive()

    assert await session.receive() == b"1"


async def test_drops_the_newest_when_its_queue_is_full() -> None:
    dialogue = Dialogue()
    session = dialogue.session()
    for data in (b"1", b"2", b"3", b"4", b"5", b"6"):
        session.deliver(data)
    session.end("stopped")

    assert [data async for data in session] == [b"1", b"2", b"3", b"4"]
    assert session.dropped == dialogue.counts.dropped_by_sessions == 2


async def test_drops_the_oldest_if_it_shall() -> None:
    dialogue = Dialogue(Limits(session_drop_policy="oldest"))
    session = dialogue.session()
    for data in (b"1", b"2", b"3", b"4", b"5", b"6"):
        session.deliver(data)
    session.end("stopped")

    assert [data async for data in session] == [b"3", b"4", b"5", b"6"]
    assert session.dropped == dialogue.counts.dropped_by_sessions == 2


async def test_ends_at_once_for_who_waits() -> None:
    dialogue = Dialogue()
    session = dialogue.session()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(_expect_end, session)
        await trio.testing.wait_all_tasks_blocked()
        session.end("stopped")
        session.end("evicted")

    assert (session.end_reason, dialogue.ends) == ("stopped", 1)


async def _expect_end(session: DatagramSession) -> None:
    with pytest.raises(trio.EndOfChannel):
        await session.receive()


async def test_sends_to_its_peer_also_after_the_end() -> None:
    dialogue = Dialogue(scripted=ScriptedSocket([2, 3]))
    session = dialogue.session()

    await session.send(b"hi")
    session.end("stopped")
    await session.send(b"bye")

    assert dialogue.scripted.sent == [(b"hi", 0, PEER), (b"bye", 0, PEER)]


async def test_is_established_when_the_peer_answers() -> None:
    session = Dialogue(scripted=ScriptedSocket([2])).session()
    session.deliver(b"1")
    session.deliver(b"2")
    before = session.is_established
    await session.send(b"ok")
    meanwhile = session.is_established
    session.deliver(b"3")

    assert (before, meanwhile, session.is_established) == (False, False, True)


async def test_is_not_established_by_what_could_not_be_sent() -> None:
    session = Dialogue(scripted=ScriptedSocket([OSError(1, "no")])).session()

    with pytest.raises(OSError, match="no"):
        await session.send(b"ok")
    session.deliver(b"1")

    assert not session.is_established


async def test_is_of_no_use_once_it_is_closed() -> None:
    dialogue = Dialogue()
    session = dialogue.session()
    session.deliver(b"never read")

    await session.aclose()
    await session.aclose()

    with pytest.raises(trio.ClosedResourceError):
        await session.receive()
    with pytest.raises(trio.ClosedResourceError):
        await session.send(b"late")
    assert (dialogue.ends, dialogue.counts.unread) == (1, 1)


async def test_is_a_channel_of_trios() -> None:
    session = Dialogue(scripted=ScriptedSocket([2])).session()

    async with session as channel:
        await channel.send(b"ok")

    assert session.end_reason == "closed"


async def test_can_be_closed_after_it_has_expired(
    autojump_clock: trio.testing.MockClock,
) -> None:
    dialogue = Dialogue()
    session = dialogue.session()
    await _expect_end(session)

    session.close()

    assert (session.end_reason, dialogue.ends) == ("closed", 1)


async def test_lets_other_tasks_run_now_and_then() -> None:
    session = Dialogue(Limits(session_queue_size=OPERATIONS)).session()
    for _ in range(OPERATIONS):
        session.deliver(b"data")

    with trio.testing.assert_checkpoints():
        for _ in range(OPERATIONS):
            await session.receive()


def test_says_with_whom_it_is_and_how_it_is() -> None:
    session = Dialogue().session()
    session.deliver(b"1")
    before = repr(session)
    session.end("stopped")

    assert before == f"<DatagramSession with {PEER}, 1 waiting>"
    assert repr(session) == f"<DatagramSession with {PEER}, stopped>"


@settings(deadline=None)
@given(
    data=st.lists(st.binary(max_size=3), max_size=12),
    size=st.integers(1, 5),
    policy=st.sampled_from(["newest", "oldest"]),
)
def test_every_datagram_is_received_or_dropped_and_in_order(
    data: list[bytes], size: int, policy: DropPolicy
) -> None:
    dialogue = Dialogue(Limits(session_queue_size=size, session_drop_policy=policy))
    session = dialogue.session()

    async def receive_all() -> list[bytes]:
        for each in data:
            session.deliver(each)
        session.end("stopped")
        return [each async for each in session]

    received = trio.run(receive_all)

    kept = data[:size] if policy == "newest" else data[-size:]
    assert received == kept
    assert dialogue.counts.handled + session.dropped == len(data)
