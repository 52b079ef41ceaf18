"""Say in words where a task is, and where an error came from."""

from __future__ import annotations

import contextlib
from pathlib import Path
from types import CodeType, TracebackType
from typing import Final

import trio

# What stands between the lines that somebody has written for this purpose.
_TRIO: Final = str(Path(trio.__file__).parent)
_CONTEXTLIB: Final = contextlib.__file__


def describe_task(task: trio.lowlevel.Task) -> str:
    """Return the name of *task*, and the lines at which it waits, outermost first.

    Of Trio's own lines, only the function that was called is named.
    """
    return f"{task.name} at {_place(task)}"


def _place(task: trio.lowlevel.Task) -> str:
    if getattr(task.coro, "cr_frame", None) is None:
        return "its end"
    places: list[str] = []
    for frame, line in task.iter_await_frames():
        if frame.f_code.co_filename.startswith(_TRIO):
            return " > ".join([*places, f"{frame.f_code.co_name}()"])
        if frame.f_code.co_filename != _CONTEXTLIB:
            places.append(_line(frame.f_code, line))
    return " > ".join(places)


def describe_error(error: BaseException) -> str:
    """Return what *error* says, and the line that has raised it."""
    place = _innermost(error.__traceback__)
    return f"{error!r} at {place}" if place else repr(error)


def _innermost(traceback: TracebackType | None) -> str:
    """Return the last line of *traceback* that is not Trio's."""
    place = ""
    while traceback is not None:
        code = traceback.tb_frame.f_code
        if not code.co_filename.startswith(_TRIO):
            place = _line(code, traceback.tb_lineno)
        traceback = traceback.tb_next
    return place


def _line(code: CodeType, line: int) -> str:
    path = Path(code.co_filename)
    return f"{path.parent.name}/{path.name}:{line} in {code.co_qualname}"
