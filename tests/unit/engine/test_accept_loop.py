"""The accept loop on scripted requests: no sockets, and a virtual clock."""

from __future__ import annotations

import errno
import logging
import math
from collections import deque

import attrs
import pytest
import trio
import trio.testing

from trioserver import ListenerBrokenError
from trioserver._engine.accept_failures import (
    CAPACITY_PAUSE,
    MAX_PEER_FAILURES,
    AcceptFailures,
)
from trioserver._engine.accept_loop import ACCEPT_BATCH, accept_forever
from trioserver._engine.admission import Admission, Slot
from trioserver._engine.log_interval import LOG_INTERVAL
from trioserver._sockets.accept import BROKEN_ERRNOS, CAPACITY_ERRNOS

# accept(2): "Linux accept() passes already-pending network errors on the new socket",
# "treat them like EAGAIN", and what it may return for a connection in addition.
PEER_ERRNOS = (
    errno.ECONNABORTED,
    errno.EPERM,
    errno.EPROTO,
    errno.ENETDOWN,
    errno.ENOPROTOOPT,
    errno.EHOSTDOWN,
    errno.ENONET,
    errno.EHOSTUNREACH,
    errno.EOPNOTSUPP,
    errno.ENETUNREACH,
    errno.ENOSR,
    errno.ESOCKTNOSUPPORT,
    errno.EPROTONOSUPPORT,
    errno.ETIMEDOUT,
    errno.ECONNRESET,
)


@attrs.define
class Accepted:
    """What came out of accept_forever() before its listener was closed."""

    outcomes: deque[str | BaseException]
    requests: list[str] = attrs.field(factory=list)
    slots: list[Slot] = attrs.field(factory=list)
    admission: Admission = attrs.field(factory=lambda: Admission(math.inf))

    async def get_request(self) -> tuple[str, str]:
        await trio.lowlevel.checkpoint_if_cancelled()
        if not self.outcomes:
            raise trio.ClosedResourceError
        outcome = self.outcomes.popleft()
        if isinstance(outcome, BaseException):
            raise outcome
        return outcome, "address"

    def start(self, request: str, client_address: str, slot: Slot) -> None:
        self.requests.append(request)
        self.slots.append(slot)


def failures_of(where: str, *, is_listening: bool = False) -> AcceptFailures:
    return AcceptFailures(lambda: where, lambda: is_listening)


async def accept_all(*outcomes: str | BaseException) -> Accepted:
    accepted = Accepted(deque(outcomes))
    with pytest.raises(trio.ClosedResourceError):
        await accept_forever(
            accepted.get_request,
            accepted.start,
            accepted.admission,
            failures_of("127.0.0.1:80"),
        )
    return accepted


async def test_starts_every_request_with_a_slot_that_is_taken() -> None:
    accepted = await accept_all("first", "second")

    assert accepted.requests == ["first", "second"]
    assert all(slot.is_taken for slot in accepted.slots)


async def test_lets_other_tasks_run_between_two_batches() -> None:
    turns = 0

    async def count_turns() -> None:
        nonlocal turns
        while True:
            await trio.lowlevel.checkpoint()
            turns += 1

    async with trio.open_nursery() as nursery:
        nursery.start_soon(count_turns)
        await accept_all(*["request"] * (9 * ACCEPT_BATCH))
        nursery.cancel_scope.cancel()

    assert turns >= 2


@pytest.mark.parametrize("number", PEER_ERRNOS, ids=errno.errorcode.get)
async def test_retries_at_once_when_the_peer_gave_up(
    number: int, autojump_clock: trio.testing.MockClock
) -> None:
    accepted = await accept_all(OSError(number, "gone"), "next")

    assert accepted.requests == ["next"]
    assert trio.current_time() == 0


async def test_pauses_when_every_connection_fails(
    autojump_clock: trio.testing.MockClock,
) -> None:
    failures = [OSError(errno.EPROTO, "gone") for _ in range(MAX_PEER_FAILURES + 3)]

    await accept_all(*failures)

    assert trio.current_time() == pytest.approx(3 * CAPACITY_PAUSE)


@pytest.mark.parametrize("number", sorted(CAPACITY_ERRNOS), ids=errno.errorcode.get)
async def test_pauses_while_the_system_has_run_out(
    number: int, autojump_clock: trio.testing.MockClock
) -> None:
    accepted = await accept_all(*[OSError(number, "full") for _ in range(3)], "next")

    assert accepted.requests == ["next"]
    assert trio.current_time() == pytest.approx(3 * CAPACITY_PAUSE)


async def test_logs_a_shortage_once_a_second_and_its_end(
    autojump_clock: trio.testing.MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    tries = round(2.5 * LOG_INTERVAL / CAPACITY_PAUSE)

    await accept_all(*[OSError(errno.EMFILE, "full") for _ in range(tries)], "a", "b")

    *shortage, end = [record.getMessage() for record in caplog.records]
    assert len(shortage) == 3
    assert all("Cannot accept requests on 127.0.0.1:80" in m for m in shortage)
    assert "again, after 2.5 s and 25 failed tries" in end


async def test_a_shortage_that_comes_and_goes_is_logged_once_a_second_too(
    autojump_clock: trio.testing.MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    episodes = round(2.5 * LOG_INTERVAL / CAPACITY_PAUSE)
    outcomes: list[str | BaseException] = []
    for _ in range(episodes):
        outcomes += [OSError(errno.EMFILE, "full"), "a request"]

    accepted = await accept_all(*outcomes)

    begun = ["Cannot accept" in record.getMessage() for record in caplog.records]
    # Each end that is logged is that of a beginning which was.
    assert begun == [True, False] * 3
    assert len(accepted.requests) == episodes


async def test_an_unknown_failure_is_logged_for_debugging_only(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.DEBUG, "trioserver")

    await accept_all(OSError(99999, "from a newer kernel"), "next")

    (record,) = caplog.records
    assert record.levelno == logging.DEBUG
    assert "from a newer kernel" in record.getMessage()


@pytest.mark.parametrize("number", sorted(BROKEN_ERRNOS), ids=errno.errorcode.get)
async def test_ends_with_the_name_of_a_broken_listener(number: int) -> None:
    with pytest.raises(
        ListenerBrokenError, match=r"127\.0\.0\.1:80 is broken"
    ) as caught:
        await accept_all(OSError(number, "broken"), "never")

    assert caught.value.errno == number


async def test_releases_the_slot_of_a_request_that_did_not_come() -> None:
    accepted = Accepted(deque([OSError(errno.EPROTO, "gone"), LookupError("a bug")]))
    accepted.admission.set_limit(1)

    with pytest.raises(LookupError):
        await accept_forever(
            accepted.get_request,
            accepted.start,
            accepted.admission,
            failures_of("here"),
        )

    with trio.fail_after(1):
        await accepted.admission.slot().take()


async def test_closes_a_request_that_cannot_be_started() -> None:
    request, peer = trio.testing.memory_stream_pair()
    admission = Admission(1)

    async def get_request() -> tuple[trio.abc.Stream, str]:
        await trio.lowlevel.checkpoint()
        return request, "address"

    def start(request: object, client_address: object, slot: Slot) -> None:
        raise trio.ClosedResourceError

    with pytest.raises(trio.ClosedResourceError):
        await accept_forever(get_request, start, admission, failures_of("here"))

    assert await peer.receive_some() == b""
    with trio.fail_after(1):
        await admission.slot().take()


async def test_gives_up_what_cannot_be_closed_when_it_cannot_be_started() -> None:
    async def get_request() -> tuple[str, str]:
        await trio.lowlevel.checkpoint()
        return "no stream", "address"

    def start(request: object, client_address: object, slot: Slot) -> None:
        raise LookupError

    with pytest.raises(LookupError):
        await accept_forever(get_request, start, Admission(1), failures_of("here"))


async def test_a_limit_lowered_while_waiting_makes_the_next_request_wait() -> None:
    admission = Admission(1)
    slots: list[Slot] = []

    async def get_request() -> tuple[str, str]:
        await trio.lowlevel.checkpoint()
        admission.set_limit(0)
        return "request", "address"

    def start(request: object, client_address: object, slot: Slot) -> None:
        slots.append(slot)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(
            accept_forever, get_request, start, admission, failures_of("here")
        )
        await trio.testing.wait_all_tasks_blocked()
        nursery.cancel_scope.cancel()

    (slot,) = slots
    assert not slot.is_taken


async def test_an_error_that_blames_a_sound_listener_is_about_the_peer() -> None:
    failures = failures_of("here", is_listening=True)

    assert failures.pause_after(OSError(errno.EINVAL, "setsockopt")) == 0
