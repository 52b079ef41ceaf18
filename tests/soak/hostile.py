"""Text that would forge log lines, drive terminals, or fill disks."""

from __future__ import annotations

from typing import Final

# Begins as a line of the log does: whoever counts such lines would count it.
FORGED: Final = "ERROR:trioserver:forged"

_BREAKS: Final = (
    "\n",
    "\r",
    "\r\n",
    "\x0b",
    "\x0c",
    "\x1c",
    "\x1d",
    "\x1e",
    "\x85",
    "\N{LINE SEPARATOR}",
    "\N{PARAGRAPH SEPARATOR}",
)

_MARKS: Final = (
    "\0",
    "\a",
    "\b",
    "\t",
    "\x1b[2J",
    "\x1b]0;title\a",
    "\x1bP+q\x1b\\",
    "\x7f",
    "\x9b31m",
    "\x9d0;title\x9c",
    "\N{RIGHT-TO-LEFT OVERRIDE}",
    "\N{RIGHT-TO-LEFT ISOLATE}",
    "\N{ZERO WIDTH SPACE}",
    "\N{ZERO WIDTH NO-BREAK SPACE}",
    "\N{CYRILLIC SMALL LETTER A}",
    "\N{FULLWIDTH LATIN SMALL LETTER A}",
    "\N{TAG LATIN SMALL LETTER A}",
    "\N{PILE OF POO}",
    "\udcff",
    "\udc80\udc85",
    "\\",
    "\\n",
    "%s%n%(message)s",
    "{0.__class__}",
    "$(reboot)`reboot`",
    "'\"",
    "; uid=0;",
    "../../etc/passwd",
)

HOSTILE: Final[tuple[str, ...]] = (
    *(f"text{mark}{FORGED}" for mark in _BREAKS),
    *(f"text{mark}text" for mark in _MARKS),
    "long " * 13107,
)
"""More than forty of them; the last has 64 KiB."""


def wrong_lines(lines: list[str], most: int) -> list[str]:
    """Return those of *lines* that are no line of a log: too long, or not printable."""
    return [
        line[:200]
        for line in lines
        if len(line) > most or not line.isascii() or (line and not line.isprintable())
    ]


def split_lines(text: bytes) -> list[str]:
    """Return the lines of a log, as a reader who knows nothing but LF has them."""
    lines = text.decode("utf-8", "surrogateescape").split("\n")
    return lines[:-1] if lines[-1] == "" else lines
