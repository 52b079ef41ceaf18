"""Look up from time to time whether a run goes on.

A task that blocks, or that goes round in circles without a checkpoint, stops all of
Trio, and so whatever watches from inside. A clock that stands still does that, too.
"""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Generator
from contextlib import contextmanager
from types import FrameType
from typing import TypeAlias

Look: TypeAlias = Callable[[FrameType | None], object]
"""Is given what runs just now. What it raises comes out of there."""


@contextmanager
def watchdog(look: Look, seconds: float) -> Generator[None]:
    """Call *look* every so many *seconds*, in the midst of whatever runs in the block.

    By a signal: it ends what blocks in the system, too. So it works in the main thread
    only, where the system has such timers, and nobody else has set one.
    """
    if not _is_free():
        yield
        return
    before = signal.signal(signal.SIGALRM, lambda _number, frame: look(frame))
    signal.setitimer(signal.ITIMER_REAL, seconds, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def _is_free() -> bool:
    """Whether the one timer that there is may be used."""
    return (
        hasattr(signal, "setitimer")  # not there on Windows
        and threading.current_thread() is threading.main_thread()
        and signal.getsignal(signal.SIGALRM) is signal.SIG_DFL
        and not any(signal.getitimer(signal.ITIMER_REAL))
    )
