"""What the library writes to its log, and the escaping that keeps the log honest.

Text that came from the network can forge log lines and drive terminals (CPython
gh-100001, nginx CVE-2009-4487). So each record is one line of printable ASCII of
bounded length, and each line of a traceback is escaped and indented.
"""

from __future__ import annotations

import logging
import traceback
from collections.abc import Iterator
from typing import Final

LOGGER_NAME: Final = "trioserver"

# Characters. A log line longer than 1 KiB is cut by syslog (RFC 3164) anyway.
MAX_LINE: Final = 1000
MAX_TEXT: Final = 200

# Lines of one traceback: a RecursionError or a wide group must not fill the disk.
MAX_TRACEBACK_LINES: Final = 200

_logger = logging.getLogger(LOGGER_NAME)


def escape(value: object) -> str:
    """Return *value* as printable ASCII of at most `MAX_TEXT` characters."""
    return cut(ascii(value), MAX_TEXT)


def cut(text: str, length: int) -> str:
    """Return *text*, or its first *length* characters and how many there were."""
    return text if len(text) <= length else f"{text[:length]}... ({len(text)} chars)"


def describe(error: BaseException) -> str:
    """Return the type and message of *error* in one line of printable ASCII."""
    lines = traceback.format_exception_only(error)
    # A SyntaxError shows its source first, indented; notes come after the message.
    message = next(line for line in lines if not line.startswith(" "))
    return _escape_line(message.rstrip("\n"), MAX_TEXT)


def log(level: int, message: str, *, error: BaseException | None = None) -> None:
    """Write one record, with the traceback of *error* if one is given.

    Args:
        level: A level of the `logging` module.
        message: The text. Parts from the network go through `escape()`, which quotes
            and cuts them; what it leaves unprintable is escaped here.
        error: Its traceback follows the message, escaped. ``record.exc_info`` is
            set as well, for handlers that want the exception itself.
    """
    if not _logger.isEnabledFor(level):
        return
    exc_info = None if error is None else (type(error), error, error.__traceback__)
    name, line, function, _ = _logger.findCaller(stacklevel=2)
    text = cut(_printable(message), MAX_LINE)
    record = _logger.makeRecord(
        _logger.name, level, name, line, text, (), exc_info, function
    )
    if error is not None:
        # A formatter takes this text, when it is there, instead of making its own.
        record.exc_text = "\n".join(_traceback_lines(error))
    _logger.handle(record)


def _traceback_lines(error: BaseException) -> Iterator[str]:
    count = 0
    for chunk in traceback.TracebackException.from_exception(error).format():
        for line in chunk.rstrip("\n").split("\n"):
            count += 1
            if count > MAX_TRACEBACK_LINES:
                yield "  (traceback cut here)"
                return
            yield "  " + _escape_line(line, MAX_LINE)


def _printable(text: str) -> str:
    """Escape what is not printable ASCII, whatever the caller has escaped already."""
    return "".join(c if " " <= c <= "~" else ascii(c)[1:-1] for c in text)


def _escape_line(line: str, length: int) -> str:
    """Escape as `ascii()` does, without the quotes, and return what `cut` leaves.

    The rest is not escaped at all: a MiB from a client would take a second.
    """
    # Not with the codec of that name: its module is loaded when it is first used, and
    # that may be to log that no descriptor is left.
    text = _printable(line[:length].replace("\\", "\\\\"))
    if len(line) > length:
        return f"{text[:length]}... ({len(line)} chars)"
    return cut(text, length)
