"""Name the lines that have called an operation."""

from __future__ import annotations

import traceback
from collections.abc import Iterable
from itertools import takewhile
from pathlib import Path
from types import CodeType, FrameType
from typing import Final, TypeAlias

from trioserver._testing.origins import is_kits, is_librarys, is_pythons, is_trios

# The function of Trio's that runs the tasks.
_RUN_LOOP: Final = "unrolled_run"

_Line: TypeAlias = tuple[CodeType, int]


def caller(innermost: FrameType | None = None) -> str:
    """Return the line that has called the operation, outside of this and of Trio.

    If that is the library's, the line of somebody else's that has called it, too. One
    of the standard library's is named only if there is no other.

    Args:
        innermost: Where to begin; None: here.
    """
    told = [
        (frame.f_code, line)
        for frame, line in takewhile(_is_inside, traceback.walk_stack(innermost))
        if not (is_kits(frame.f_code) or is_trios(frame.f_code))
    ]
    return _places([line for line in told if not is_pythons(line[0])] or told[:1])


def is_trios_own() -> bool:
    """Whether Trio itself has called, on what it wakes itself with.

    What it does for others, it does with methods that nobody has replaced.
    """
    frames = (frame for frame, _ in traceback.walk_stack(None))
    return is_trios(next(f.f_code for f in frames if not is_kits(f.f_code)))


def _places(told: Iterable[_Line]) -> str:
    told = list(told)
    others = [(code, line) for code, line in told if not is_librarys(code)]
    nearest = dict.fromkeys([*told[:1], *others[:1]])
    return ", for ".join(_place(code, line) for code, line in nearest)


def _is_inside(entry: tuple[FrameType, int]) -> bool:
    """Whether a frame is the task's: Trio's loop is called by what has called it."""
    code = entry[0].f_code
    return not (is_trios(code) and code.co_name == _RUN_LOOP)


def _place(code: CodeType, line: int) -> str:
    path = Path(code.co_filename)
    return f"{path.parent.name}/{path.name}:{line}"
