"""What poll(2) says of a real socket."""

from __future__ import annotations

import select
import socket

from trioserver._sockets.polled import has_events


def test_tells_what_is_the_case_just_now() -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        before = has_events(ours, select.POLLIN)
        theirs.sendall(b"hello")
        after = has_events(ours, select.POLLIN)

    assert [before, after] == [False, True]


def test_of_no_events_none_is_the_case() -> None:
    ours, theirs = socket.socketpair()
    with theirs:
        ours.close()  # asked all the same, poll() would complain

        assert not has_events(ours, 0)
