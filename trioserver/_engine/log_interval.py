"""Keep what can happen at any rate from filling the log."""

from __future__ import annotations

import math
from typing import Final, final

import trio

# Seconds between two log lines about the same thing. Trio writes ten a second about a
# shortage, each with its traceback.
LOG_INTERVAL: Final = 1.0


@final
class LogInterval:
    """Lets one event in each `LOG_INTERVAL` be logged, and counts the others."""

    __slots__ = ("_logged", "_unlogged")

    def __init__(self) -> None:
        self._unlogged = 0
        self._logged = -math.inf

    def note(self) -> int:
        """Note an event.

        Returns:
            How many events a line that is written now stands for; 0 if it is too early
            for a line.
        """
        self._unlogged += 1
        now = trio.current_time()
        if now - self._logged < LOG_INTERVAL:
            return 0
        count, self._unlogged, self._logged = self._unlogged, 0, now
        return count

    def reset(self) -> None:
        """Let the next event be logged, whenever it comes."""
        self._unlogged = 0
        self._logged = -math.inf
