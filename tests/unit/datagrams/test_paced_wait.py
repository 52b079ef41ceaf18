"""A socket that is readable in vain, real ones, with a virtual clock."""

from __future__ import annotations

import errno
import select
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
import trio
import trio.testing

from kit.serving import LOOPBACK
from trioserver._datagrams.paced_wait import (
    MAX_VAIN_WAKE_UPS,
    VAIN_PAUSE,
    PacedWait,
    is_shut,
)

needs_hang_ups = pytest.mark.skipif(
    not hasattr(select, "POLLRDHUP"), reason="nobody tells that it was shut down"
)


@pytest.fixture
def sock() -> Iterator[socket.socket]:
    """Return a socket to which a datagram has come: readable, if nobody receives it."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.bind(LOOPBACK)
        sock.sendto(b"hello", sock.getsockname())
        yield sock


async def spin(wait: PacedWait, times: int) -> None:
    for _ in range(times):
        await wait.readable()


async def test_pauses_after_each_of_too_many_wake_ups_in_vain(
    sock: socket.socket, autojump_clock: trio.testing.MockClock
) -> None:
    wait = PacedWait(sock, lambda: None)

    await spin(wait, MAX_VAIN_WAKE_UPS)
    before = trio.current_time()
    await spin(wait, 3)

    assert before == 0
    assert trio.current_time() == pytest.approx(3 * VAIN_PAUSE)


async def test_says_so_once(
    sock: socket.socket, autojump_clock: trio.testing.MockClock
) -> None:
    said: list[float] = []
    wait = PacedWait(sock, lambda: said.append(trio.current_time()))

    await spin(wait, MAX_VAIN_WAKE_UPS + 3)

    assert said == [0]


async def test_does_not_pause_if_others_were_faster(
    sock: socket.socket, autojump_clock: trio.testing.MockClock
) -> None:
    said: list[float] = []
    wait = PacedWait(sock, lambda: said.append(trio.current_time()))
    await spin(wait, MAX_VAIN_WAKE_UPS)
    sock.recv(10)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(wait.readable)
        await trio.testing.wait_all_tasks_blocked()
        sock.sendto(b"hello", sock.getsockname())
    await spin(wait, MAX_VAIN_WAKE_UPS)

    assert trio.current_time() == 0
    assert said == []


@needs_hang_ups
async def test_a_unix_socket_that_was_shut_down_is_an_error(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
        sock.bind(str(tmp_path / "socket"))
        sock.shutdown(socket.SHUT_RD)
        wait = PacedWait(sock, lambda: None)
        await spin(wait, MAX_VAIN_WAKE_UPS)

        with pytest.raises(OSError, match="shut down") as caught:
            await wait.readable()

    assert caught.value.errno == errno.EINVAL


@needs_hang_ups
@pytest.mark.parametrize("how", [None, socket.SHUT_RD, socket.SHUT_WR])
def test_is_shut_if_nothing_can_come(how: int | None, tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
        sock.bind(str(tmp_path / "socket"))
        if how is not None:
            sock.shutdown(how)

        assert is_shut(sock) == (how == socket.SHUT_RD)


def test_one_of_the_internet_never_is(sock: socket.socket) -> None:
    with pytest.raises(OSError, match="not connected"):
        sock.shutdown(socket.SHUT_RDWR)

    assert not is_shut(sock)
