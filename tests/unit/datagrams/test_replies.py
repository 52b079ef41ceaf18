"""Sending on a scripted socket, with a virtual clock."""

from __future__ import annotations

import errno
import socket

import pytest
import trio
import trio.testing

from trioserver import ConnectionLostError, NamelessPeerError
from trioserver._datagrams.replies import (
    FIRST_PAUSE,
    MAX_PAUSE,
    Replies,
    is_answerable,
)
from trioserver._streams.budget import OPERATIONS
from unit.datagrams.scripted import PEER, Outcome, ScriptedSocket, as_socket

FULL = BlockingIOError(errno.EAGAIN, "full")

# Errors that are about who shall receive it.
NOBODY = (
    errno.ECONNREFUSED,
    errno.ECONNRESET,
    errno.ENOENT,
    errno.ENOTDIR,
    errno.ELOOP,
    errno.EPROTOTYPE,
    errno.EHOSTUNREACH,
    errno.EHOSTDOWN,
    errno.ENETUNREACH,
    errno.ENETDOWN,
)

# Those that are about what is sent, or about this machine.
OTHERS = (errno.EMSGSIZE, errno.ENOBUFS, errno.EPERM, errno.EACCES, errno.EINVAL)


@pytest.fixture(autouse=True)
def writable_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a scripted socket be writable at any time, as Unix sockets are."""

    async def wait_writable(_sock: object) -> None:
        await trio.lowlevel.checkpoint()

    monkeypatch.setattr(trio.lowlevel, "wait_writable", wait_writable)
    monkeypatch.setattr(trio.lowlevel, "notify_closing", lambda _sock: None)


def replies(*outcomes: Outcome) -> tuple[Replies, ScriptedSocket]:
    scripted = ScriptedSocket(outcomes)
    return Replies(as_socket(scripted)), scripted


async def test_sends_and_returns_the_length() -> None:
    sending, scripted = replies(5)

    assert await sending.send(b"hello", 0, PEER, []) == 5
    assert scripted.sent == [(b"hello", 0, PEER)]


async def test_sends_from_the_address_that_is_asked_for() -> None:
    sending, scripted = replies(5)
    source = [(0, 8, b"info")]

    await sending.send(b"hello", 0, PEER, source)

    assert scripted.sent == [([b"hello"], source, 0, PEER)]


@pytest.mark.parametrize("number", NOBODY, ids=errno.errorcode.get)
async def test_nobody_there_is_a_lost_connection(number: int) -> None:
    sending, _ = replies(OSError(number, "gone"), 5)

    with pytest.raises(ConnectionLostError) as caught:
        await sending.send(b"hello", 0, PEER, [])

    assert caught.value.errno == number
    assert await sending.send(b"hello", 0, PEER, []) == 5


async def test_a_client_that_has_closed_its_file_to_us_is_lost() -> None:
    sock = ScriptedSocket([OSError(errno.EACCES, "no")], family=socket.AF_UNIX)
    sending = Replies(as_socket(sock))

    with pytest.raises(ConnectionLostError):
        await sending.send(b"hello", 0, "/client", [])


@pytest.mark.parametrize("number", OTHERS, ids=errno.errorcode.get)
async def test_another_error_is_raised_as_it_is(number: int) -> None:
    sending, _ = replies(OSError(number, "no"), 5)

    with pytest.raises(OSError, match="no") as caught:
        await sending.send(b"hello", 0, PEER, [])

    assert not isinstance(caught.value, ConnectionLostError)
    assert await sending.send(b"hello", 0, PEER, []) == 5


@pytest.mark.parametrize("address", [None, ("192.0.2.1", 0), ("2001:db8::1", 0, 0, 0)])
async def test_who_has_no_address_cannot_be_answered(address: object) -> None:
    sending, _ = replies()

    with pytest.raises(NamelessPeerError, match="has no address"):
        await sending.send(b"hello", 0, address, [])


@pytest.mark.parametrize(
    "address", [PEER, "/path", b"\0name", ("2001:db8::1", 1, 0, 0)]
)
def test_others_can(address: object) -> None:
    assert is_answerable(address)


async def test_waits_for_room_without_spinning(
    autojump_clock: trio.testing.MockClock,
) -> None:
    sending, scripted = replies(*[FULL] * 20, 5)

    await sending.send(b"hello", 0, PEER, [])

    assert scripted.sent == [(b"hello", 0, PEER)]
    # At once after the first, then 1, 2, 4, ... ms, and 50 ms from the seventh on.
    assert trio.current_time() == pytest.approx(
        sum(min(FIRST_PAUSE * 2**n, MAX_PAUSE) for n in range(19))
    )


async def test_several_tasks_wait_for_room_in_turn(
    autojump_clock: trio.testing.MockClock,
) -> None:
    sending, scripted = replies(FULL, FULL, FULL, 1, 1, 1)

    async with trio.open_nursery() as nursery:
        for data in (b"1", b"2", b"3"):
            nursery.start_soon(sending.send, data, 0, PEER, [])

    assert {arguments[0] for arguments in scripted.sent} == {b"1", b"2", b"3"}
    assert trio.current_time() == 0


async def test_sends_nothing_when_it_is_cancelled_while_it_waits() -> None:
    sending, scripted = replies(FULL, 5)

    with trio.CancelScope() as scope:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(sending.send, b"hello", 0, PEER, [])
            await trio.lowlevel.checkpoint()
            scope.cancel()

    assert scripted.sent == []


async def test_lets_other_tasks_run_now_and_then() -> None:
    sending, _ = replies(*[1] * OPERATIONS)

    with trio.testing.assert_checkpoints():
        for _ in range(OPERATIONS):
            await sending.send(b"1", 0, PEER, [])


async def test_is_closed_while_tasks_wait(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    sending, _ = replies(FULL, FULL)

    async def closed_meanwhile(_sock: object) -> None:
        await trio.lowlevel.checkpoint()
        sending.close()

    monkeypatch.setattr(trio.lowlevel, "wait_writable", closed_meanwhile)
    errors = 0

    async def send() -> None:
        nonlocal errors
        with pytest.raises(trio.ClosedResourceError, match="the server was closed"):
            await sending.send(b"hello", 0, PEER, [])
        errors += 1

    async with trio.open_nursery() as nursery:
        nursery.start_soon(send)
        nursery.start_soon(send)

    assert errors == 2


def test_closes_outside_of_trio_and_any_number_of_times() -> None:
    sending, scripted = replies()

    sending.close()
    sending.close()

    assert scripted.is_closed
