"""The descriptors with which a wait in a thread is ended."""

from __future__ import annotations

import os
import socket

from trioserver._concurrency.request_sockets import Interruption


def test_what_close_says_of_a_descriptor_that_is_gone_ends_nothing() -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        interruption = Interruption(ours)
        duplicate = interruption._duplicate
        assert duplicate is not None
        os.close(duplicate.fileno())

        interruption.__exit__()

    assert duplicate.fileno() == -1
