"""Tell whose code it is: Python's, Trio's, the library's, or the test kit's."""

from __future__ import annotations

import os
import sys
import sysconfig
from pathlib import Path
from types import CodeType
from typing import Final

import trio


def is_below(folder: Path, file: str) -> bool:
    """Whether *file* lies in *folder*.

    Its name begins with more than that of the folder: in ``site-packages``,
    ``trioserver`` lies beside ``trio``.
    """
    return file.startswith(f"{folder}{os.sep}")


_TRIO: Final = Path(trio.__file__).parent
# With this, Trio calls what runs in a thread. It depends on it, and we do not.
_OUTCOME: Final = Path(sys.modules["outcome"].__file__ or "").parent
_KIT: Final = Path(__file__).parent
_LIBRARY: Final = _KIT.parent
_STDLIB: Final = Path(sysconfig.get_path("stdlib"))
_INSTALLED: Final = Path(sysconfig.get_path("purelib"))


def is_trios(code: CodeType) -> bool:
    """Whether *code* is Trio's, or of what Trio is made of."""
    file = code.co_filename
    return is_below(_TRIO, file) or is_below(_OUTCOME, file)


def is_kits(code: CodeType) -> bool:
    """Whether *code* is the test kit's."""
    return is_below(_KIT, code.co_filename)


def is_librarys(code: CodeType) -> bool:
    """Whether *code* is the library's, of which the test kit is a part."""
    return is_below(_LIBRARY, code.co_filename)


def is_pythons(code: CodeType) -> bool:
    """Whether *code* is the standard library's, in which others may be installed."""
    file = code.co_filename
    return is_below(_STDLIB, file) and not is_below(_INSTALLED, file)
