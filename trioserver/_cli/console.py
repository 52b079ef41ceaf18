"""What the program says: news on stdout, errors on stderr."""

from __future__ import annotations

import os
import sys

from trioserver._log import MAX_LINE, cut


def say(*lines: str) -> None:
    """Print *lines* at once, even where stdout is a file or a pipe.

    A reader that has gone away, as in ``trioserver serve | head -1``, is no reason to
    stop serving: whatever else is said then goes nowhere.
    """
    try:
        print(*map(printable, lines), sep="\n", flush=True)
    except OSError:
        # What is still in the buffer would fail again when the interpreter ends. The
        # documentation of signal.SIGPIPE has this remedy.
        with open(os.devnull, "wb") as nowhere:  # noqa: PTH123  # a device, no path
            os.dup2(nowhere.fileno(), sys.stdout.fileno())


def complain(message: str) -> None:
    """Print *message* to stderr, as one line of bounded length."""
    line = cut(printable(message), MAX_LINE)
    print(f"trioserver: {line}", file=sys.stderr, flush=True)


def printable(text: str) -> str:
    """Return *text* as one line of printable ASCII, all else in it escaped.

    A file's name or an exception's message may hold what moves the cursor, and a
    terminal need not know every letter.
    """
    return "".join(map(_printable_character, text))


def _printable_character(character: str) -> str:
    if character.isascii() and character.isprintable():
        return character
    return character.encode("unicode_escape").decode("ascii")
