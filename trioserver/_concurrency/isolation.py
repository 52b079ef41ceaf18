"""Cut a forked child off from what belongs to its parent alone."""

from __future__ import annotations

import operator
import signal
from collections.abc import Set as AbstractSet
from contextlib import suppress
from typing import Final

import trio

from trioserver._open_descriptors import close_inherited, close_quietly

# What Trio has open for its run, as seen from a task. There is no public way to ask,
# and a test compares with what a child has open; what a version of Trio does not have
# is left out, and left open.
_TRIO_DESCRIPTORS: Final = (
    "_runner.io_manager._epoll",
    "_runner.io_manager._force_wakeup.wakeup_sock",
    "_runner.io_manager._force_wakeup.write_sock",
    "_runner.entry_queue.wakeup.wakeup_sock",
    "_runner.entry_queue.wakeup.write_sock",
)


def isolate(keep: AbstractSet[int]) -> None:
    """Leave the parent's signals, sockets and Trio run alone.

    Args:
        keep: The descriptors that the child's own request needs.
    """
    _reset_signals()
    close_inherited(keep)
    _close_trio_descriptors()
    signal.pthread_sigmask(signal.SIG_SETMASK, ())


def _reset_signals() -> None:
    """Let signals do what they do in a new program; what is ignored stays ignored.

    As after an exec(), but SIGTERM always has its effect, since the parent uses it.
    """
    # A byte in there would wake the parent, for a signal that it has not had.
    signal.set_wakeup_fd(-1)
    for number in signal.valid_signals():
        if callable(signal.getsignal(number)):
            signal.signal(number, signal.SIG_DFL)
    if signal.getsignal(signal.SIGINT) is signal.SIG_DFL:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)


def _close_trio_descriptors() -> None:
    """Close what the parent's Trio run has open, and tell it nothing.

    Nothing is taken out of the epoll object, which the parent has, too: its own waits
    would end.
    """
    task = trio.lowlevel.current_task()
    for path in _TRIO_DESCRIPTORS:
        with suppress(AttributeError):
            close_quietly(operator.attrgetter(path)(task))
