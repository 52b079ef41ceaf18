"""Wake a task that waits, at less cost than with an outcome of its own."""

from __future__ import annotations

from typing import Final, final


@final
class _Woken:
    """What a task is told that learns nothing by being woken.

    `trio.lowlevel.reschedule` takes an ``outcome.Outcome``, and unwraps it in the task
    that was waiting. By default it makes an ``outcome.Value`` each time, since that one
    refuses to be unwrapped twice, which costs a quarter of the whole wake-up (trio
    0.35: 6 900 of 25 300 instructions). Nothing stops this one from being used by all.
    """

    __slots__ = ()

    def unwrap(self) -> None:
        """Return what there is to tell."""


WOKEN: Final = _Woken()
"""Give it to `trio.lowlevel.reschedule` for a task that waits for no value."""
