"""Say in words where threads are, that run somebody's code."""

from __future__ import annotations

import sys
import threading
import traceback
from types import CodeType, FrameType

from trioserver._testing.caller import caller
from trioserver._testing.origins import is_librarys, is_pythons, is_trios


def busy_threads() -> dict[threading.Thread, str]:
    """Return the threads that run foreign code, but for the caller's, and where.

    One that waits for work runs Python's code only, or Trio's.
    """
    frames = sys._current_frames()  # pyright: ignore[reportPrivateUsage]  # noqa: SLF001  # documented
    others = {
        thread: frames[thread.ident]
        for thread in threading.enumerate()
        if thread.ident in frames and thread is not threading.current_thread()
    }
    return {
        thread: f"thread {thread.name} at {caller(frame)}"
        for thread, frame in others.items()
        if _runs_foreign_code(frame)
    }


def _runs_foreign_code(innermost: FrameType) -> bool:
    frames = (frame for frame, _ in traceback.walk_stack(innermost))
    return any(_is_foreign(frame.f_code) for frame in frames)


def _is_foreign(code: CodeType) -> bool:
    return not (is_pythons(code) or is_trios(code) or is_librarys(code))
