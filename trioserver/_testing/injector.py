"""What makes trouble in one run, as a search and a run want it."""

from __future__ import annotations

from typing import Protocol

import trio

from trioserver._testing.trial import Trial


class Injector(Protocol):
    """What makes trouble in one run, once."""

    @property
    def trial(self) -> Trial:
        """The run, as the scenario sees it."""
        ...

    @property
    def instruments(self) -> list[trio.abc.Instrument]:
        """What has to watch the run."""
        ...

    @property
    def moments(self) -> int:
        """How many moments there were at which it could have acted."""
        ...

    @property
    def place(self) -> str:
        """Where it has acted, in words; empty, if it has not."""
        ...

    def finish(self) -> None:
        """Conclude from the run what matters later, and let go of all that it has."""
        ...
