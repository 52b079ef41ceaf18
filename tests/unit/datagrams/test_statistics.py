"""What is counted."""

from __future__ import annotations

import errno
import struct

import pytest

from trioserver._datagrams import statistics
from trioserver._datagrams.statistics import (
    DatagramCounts,
    DatagramStatistics,
    SessionCounts,
)
from unit.datagrams.scripted import ScriptedSocket, as_socket

MEMINFO = struct.pack("=9I", *range(9))


def test_learns_from_the_kernel_how_many_it_has_dropped() -> None:
    counts = DatagramCounts()

    counts.look_at(as_socket(ScriptedSocket([MEMINFO])))

    assert counts.dropped_by_kernel == 8


def test_keeps_what_it_knows_of_a_socket_that_is_closed() -> None:
    counts = DatagramCounts(dropped_by_kernel=3)

    counts.look_at(as_socket(ScriptedSocket(is_closed=True)))

    assert counts.dropped_by_kernel == 3


def test_does_not_know_on_an_old_kernel() -> None:
    counts = DatagramCounts()
    refusal = OSError(errno.ENOPROTOOPT, "no such option")

    counts.look_at(as_socket(ScriptedSocket([refusal])))

    assert counts.dropped_by_kernel is None


def test_does_not_ask_another_system(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(statistics, "_HAS_MEMINFO", False)
    counts = DatagramCounts()

    counts.look_at(as_socket(ScriptedSocket()))

    assert counts.dropped_by_kernel is None


def test_a_copy_does_not_change() -> None:
    counts = DatagramCounts(received=1)
    before = counts.statistics()
    counts.received += 1

    assert before == DatagramStatistics(
        received=1, truncated=0, handled=0, from_itself=0, dropped_by_kernel=None
    )


def test_a_copy_of_a_server_with_sessions_has_everything() -> None:
    counts = SessionCounts(received=5, started=2, refused=3)

    copy = counts.session_statistics(sessions=1)

    assert (copy.received, copy.sessions, copy.started, copy.refused) == (5, 1, 2, 3)
