"""The lines of the library are told from those of Trio."""

from __future__ import annotations

import sys
from pathlib import Path

import trio

import trioserver
from trioserver._testing.origins import is_below, is_kits, is_librarys, is_trios


def test_what_begins_with_the_same_letters_lies_beside_a_folder() -> None:
    # As they lie in site-packages, once trioserver is installed.
    assert is_below(Path("site/trio"), "site/trio/_core/_run.py")
    assert not is_below(Path("site/trio"), "site/trioserver/_engine/accept_loop.py")


def test_each_code_has_one_origin() -> None:
    trios = trio.sleep.__code__
    librarys = trioserver.BaseServer.__init__.__code__
    kits = is_below.__code__
    outcomes = sys.modules["outcome"].capture.__code__

    assert [is_trios(code) for code in (trios, librarys, kits)] == [True, False, False]
    assert is_trios(outcomes)
    assert [is_librarys(code) for code in (trios, librarys)] == [False, True]
    assert [is_kits(code) for code in (librarys, kits)] == [False, True]
