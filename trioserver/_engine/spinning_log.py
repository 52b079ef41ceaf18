"""Tell of a socket that is readable all the time, with nothing to receive."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Final, final

from trioserver._datagrams.paced_wait import VAIN_PAUSE
from trioserver._engine.log_interval import LogInterval
from trioserver._log import log

_CAUSES: Final = "Was it shut down, or does nobody read its error queue (IP_RECVERR)?"


@final
class SpinningLog:
    """Writes a line for each episode, but not more than one in `LOG_INTERVAL`."""

    __slots__ = ("_advice", "_interval", "_where")

    def __init__(self, where: Callable[[], str], also: str = "") -> None:
        """Write nothing yet.

        Args:
            where: Tells whose socket it is.
            also: What else may be the cause, as a sentence.
        """
        self._where = where
        self._advice = f"{_CAUSES} {also}".rstrip()
        self._interval = LogInterval()

    def note(self) -> None:
        """Note that an episode has begun."""
        if self._interval.note():
            log(
                logging.WARNING,
                f"The socket of {self._where()} is readable all the time, with nothing "
                f"to receive: looking every {VAIN_PAUSE} s. {self._advice}",
            )
