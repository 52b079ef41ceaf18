"""A search does not end before it has tried what there is."""

from __future__ import annotations

import attrs
import trio

from trioserver._testing.one_run import Conditions
from trioserver._testing.search import Search
from trioserver.testing import Trial


@attrs.define(eq=False)
class Sometimes:
    """Acts only if its number is one of those that come, as in a thread."""

    number: int
    come: frozenset[int]
    trial: Trial = attrs.Factory(Trial)
    instruments: list[trio.abc.Instrument] = attrs.Factory(list[trio.abc.Instrument])
    moments: int = 0
    place: str = ""

    def finish(self) -> None:
        if self.number in self.come:
            self.trial.note_injection(is_graceful=False)


async def nothing(_: Trial) -> None:
    await trio.lowlevel.checkpoint()


def tried(total: int, come: frozenset[int]) -> tuple[int, list[int]]:
    """Return how often trouble was made, and which numbers were tried."""
    numbers: list[int] = []

    def injector(number: int) -> Sometimes:
        numbers.append(number)
        return Sometimes(number, come)

    search = Search(nothing, Conditions(), 10)
    search.run_all("x", injector, total, range(1, 100))
    return search.report.tried["x"], numbers


def test_moments_that_do_not_come_are_passed_over() -> None:
    assert tried(6, frozenset({1, 6})) == (2, [1, 2, 3, 4, 5, 6, 7, 8])


def test_there_may_be_more_than_were_counted() -> None:
    assert tried(2, frozenset({1, 2, 4})) == (3, [1, 2, 3, 4, 5, 6])
