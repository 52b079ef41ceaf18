"""Where operations run, and are counted each for itself."""

from __future__ import annotations

from enum import Enum
from typing import final


@final
class Lane(Enum):
    """Where a failure is made. Its value is what a report calls the failures there.

    What runs in a thread or in a child comes in an order of its own, and may come
    before or after anything that Trio's thread does. So none of their numbers would
    mean the same twice, if they were counted together.
    """

    TRIO = "fault"
    """In the thread that runs Trio."""

    THREAD = "fault in a thread"
    """In the threads of handlers. Each piece of work that one does begins at 1."""

    CHILD = "fault in a child"
    """In forked children. Each of them begins at 1."""

    @property
    def place(self) -> str:
        """What a report says of where something has failed; nothing for Trio's."""
        return self.value.removeprefix(Lane.TRIO.value).lstrip()
