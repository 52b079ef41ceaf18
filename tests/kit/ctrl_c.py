"""Ctrl-C works in the tests, however they were started."""

from __future__ import annotations

import signal


def enable_ctrl_c() -> None:
    """Undo what a shell does to programs that it starts in the background.

    They ignore SIGINT, and so would every program that a test starts; Trio's own
    handling of Ctrl-C is not installed then either.
    """
    signal.signal(signal.SIGINT, signal.default_int_handler)
