"""Text of a log: whatever it quotes, one record is one line of printable ASCII."""

from __future__ import annotations

import logging
from typing import Final

from trioserver._cli.console import printable
from trioserver._log import LOGGER_NAME, MAX_LINE, MAX_TEXT, describe, escape, log

# Beside what is cut: "... (N chars)".
_ROOM: Final = 30


def log_any_text(data: bytes) -> None:
    """Log a text in all the ways that there are."""
    text = data.decode("utf-8", "surrogateescape")
    for line, most in (
        (escape(text), MAX_TEXT),
        (describe(ValueError(text)), MAX_TEXT),
        (describe(SyntaxError(text, (text, 1, 1, text))), MAX_TEXT),
        (printable(text), len(text) * 10),
    ):
        _check_line(line, most)
    # Not the record's own formatter: whatever the application has set up.
    for record in _logged(text):
        first, *others = logging.Formatter().format(record).split("\n")
        _check_line(first, MAX_LINE)
        for other in others:
            assert other.startswith("  "), other
            _check_line(other, MAX_LINE + 2)


class _Keeper(logging.Handler):
    def __init__(self) -> None:
        super().__init__()
        self.records: list[logging.LogRecord] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.records.append(record)


def _logged(text: str) -> list[logging.LogRecord]:
    keeper = _Keeper()
    logger = logging.getLogger(LOGGER_NAME)
    logger.addHandler(keeper)
    try:
        error = ExceptionGroup(text, [ValueError(text)])
        error.add_note(text)
        log(logging.ERROR, text, error=error)
    finally:
        logger.removeHandler(keeper)
    assert len(keeper.records) == 1
    return keeper.records


def _check_line(line: str, most: int) -> None:
    assert len(line) <= most + _ROOM, len(line)
    assert line.isascii(), line
    assert not line or line.isprintable(), line
