"""Say in words where a task is, and where an error came from."""

from __future__ import annotations

import contextlib
import gc
from collections.abc import Iterator
from pathlib import Path
from types import CodeType, FrameType, TracebackType
from typing import Final

import trio

from trioserver._testing.origins import is_kits, is_librarys, is_trios

# How many functions of the library are named if there is no other.
_DEPTH: Final = 3

# What can wait has a frame, and what it waits for in turn.
_ATTRIBUTES: Final = (
    ("cr_frame", "cr_await"),
    ("gi_frame", "gi_yieldfrom"),
    ("ag_frame", "ag_await"),
)


def describe_task(task: trio.lowlevel.Task) -> str:
    """Return the name of *task*, and the functions in which it waits, outermost first.

    Functions of Trio's and of the library's have no line; those of the library that
    have led to one of somebody else's are left out.
    """
    return f"{short_name(task)} at {' > '.join(_places(task)) or 'its end'}"


def short_name(task: trio.lowlevel.Task) -> str:
    """Return the name of *task*, without the module if that is the library's."""
    name = task.name
    if not name.startswith("trioserver."):
        return name
    return ".".join(name.split(".")[3:])


def runs_foreign_code(task: trio.lowlevel.Task) -> bool:
    """Whether *task* waits in a line that is neither Trio's nor the library's."""
    return any(
        not (
            is_trios(frame.f_code)
            or is_librarys(frame.f_code)
            or _is_unnamed(frame.f_code)
        )
        for frame, _ in _await_frames(task.coro)
    )


def _places(task: trio.lowlevel.Task) -> list[str]:
    places: list[str] = []
    first = None
    for frame, line in _await_frames(task.coro):
        code = frame.f_code
        if is_trios(code):
            places.append(f"{code.co_name}()")
            break
        if _is_unnamed(code):
            continue
        if is_librarys(code):
            places.append(_name(code))
            continue
        first = len(places) if first is None else first
        places.append(_line(code, line))
    return places[-_DEPTH if first is None else first :]


def _await_frames(waiting: object) -> Iterator[tuple[FrameType, int]]:
    """Yield the frames of a coroutine, of what it awaits, and so on.

    Like ``Task.iter_await_frames``, but it looks through an ``__await__`` that returns
    that of a coroutine, which every handler has.
    """
    while waiting is not None:
        for frame_name, await_name in _ATTRIBUTES:
            if hasattr(waiting, frame_name):
                frame = getattr(waiting, frame_name)
                if frame is not None:
                    yield frame, frame.f_lineno
                waiting = getattr(waiting, await_name)
                break
        else:
            # The wrappers that are written in C do not tell; the collector knows.
            waiting = next(filter(_is_waiting, gc.get_referents(waiting)), None)


def _is_waiting(found: object) -> bool:
    return any(hasattr(found, frame_name) for frame_name, _ in _ATTRIBUTES)


def describe_error(error: BaseException) -> str:
    """Return what *error* says, and the line that has raised it."""
    place = _innermost(error.__traceback__)
    text = str(error)
    if "\n" in text:
        # As a message was written, it reads better than as a string in quotes.
        where = f" at {place}" if place else ""
        return f"{type(error).__name__}{where}: " + text.replace("\n", "\n    ")
    return f"{error!r} at {place}" if place else repr(error)


def _innermost(traceback: TracebackType | None) -> str:
    """Return the last line of *traceback* that is neither Trio's nor the kit's.

    What the kit raises, as a client that gets the wrong reply, has its cause in the
    line that has called it.
    """
    place = ""
    while traceback is not None:
        code = traceback.tb_frame.f_code
        if not (is_trios(code) or _is_unnamed(code)):
            place = _line(code, traceback.tb_lineno)
        traceback = traceback.tb_next
    return place


def _is_unnamed(code: CodeType) -> bool:
    """Whether *code* says nothing: it stands between two others."""
    return is_kits(code) or code.co_filename == contextlib.__file__


def _line(code: CodeType, line: int) -> str:
    return f"{_name(code)} ({Path(code.co_filename).name}:{line})"


def _name(code: CodeType) -> str:
    return code.co_qualname.rpartition("<locals>.")[2]
