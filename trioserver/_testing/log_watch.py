"""Look at what a server logs while something fails."""

from __future__ import annotations

import logging
from collections.abc import Callable, Generator
from contextlib import contextmanager
from typing import Final, final

from trioserver._log import LOGGER_NAME

# More lines than this about one failure are a flood.
_MAX_RECORDS: Final = 50


@final
class LogWatch(logging.Handler):
    """Notes records that are not one line, too loud, or too many."""

    def __init__(
        self, loudest: Callable[[], int], note: Callable[[str], object]
    ) -> None:
        """Watch, and tell *note* in words what is wrong.

        Args:
            loudest: Returns the level above which nothing may be logged now.
            note: Is given what was wrong.
        """
        super().__init__()
        self._loudest = loudest
        self._note = note
        self._count = 0

    def start_anew(self) -> None:
        """Count from nothing: another run begins."""
        self._count = 0

    def emit(self, record: logging.LogRecord) -> None:
        """Look at one record."""
        message = record.getMessage()
        self._count += 1
        if self._count == _MAX_RECORDS:
            self._note(f"the log is flooded: {message}")
        if len(message.splitlines()) != 1:
            self._note(f"a record has several lines: {message!r}")
        if record.levelno > self._loudest():
            level = record.levelname
            self._note(f"a client can have this logged as {level}: {message}")

    @contextmanager
    def watching(self) -> Generator[None]:
        """Get all records of the library in the block, and nobody else any."""
        logger = logging.getLogger(LOGGER_NAME)
        before = logger.level, logger.propagate, logger.handlers[:]
        logger.setLevel(logging.DEBUG)
        logger.propagate = False
        logger.handlers[:] = [self]
        try:
            yield
        finally:
            logger.level, logger.propagate, logger.handlers[:] = before
