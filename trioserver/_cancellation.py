"""Clean-up that still happens, but not for ever, in a cancelled task."""

from __future__ import annotations

import math
from contextlib import AbstractContextManager, nullcontext
from typing import Final

import trio

# Seconds that one step of cleaning up may take once its task was cancelled: time
# for a reply that is already written to leave, and little more, since whoever
# pressed Ctrl-C is waiting.
CLEANUP_TIMEOUT: Final = 1.0

_TRANSPARENT: Final = nullcontext()


def time_left() -> float:
    """Return the seconds until this task is cancelled: 0 if it is, inf if never."""
    return max(0.0, trio.current_effective_deadline() - trio.current_time())


def is_cancelled() -> bool:
    """Whether the next checkpoint of this task would raise `trio.Cancelled`."""
    deadline = trio.current_effective_deadline()
    return deadline != math.inf and deadline <= trio.current_time()


def cleanup_scope(timeout: float) -> AbstractContextManager[object]:
    """Return a scope that lets clean-up run in a task that was cancelled.

    In a task that is not cancelled the scope does nothing, and a cancellation that
    arrives later is delivered as usual.

    Args:
        timeout: Seconds until the clean-up of a cancelled task is given up.
    """
    if is_cancelled():
        return trio.move_on_after(timeout, shield=True)
    return _TRANSPARENT
