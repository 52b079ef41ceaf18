"""End what a scenario serves at every moment at which the outside can end it."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Sequence
from functools import partial

import trio

from trioserver._testing.injections import ALL_KINDS, Injection, Kind, named
from trioserver._testing.moments import moments
from trioserver._testing.one_run import Conditions, Scenario, quick_collections
from trioserver._testing.overseer import WallClock
from trioserver._testing.report import Report
from trioserver._testing.search import Search
from trioserver._testing.step_injector import StepInjector


def cancel_everywhere(  # noqa: PLR0913  # all but one are options, and named
    scenario: Scenario,
    *,
    by: Kind | Injection | Iterable[Kind | Injection] = ALL_KINDS,
    seed: int = 0,
    sample: int | None = None,
    only: int | Iterable[int] | None = None,
    hang_seconds: float = 5.0,
    paths: Sequence[str | os.PathLike[str]] = (),
    clock: Callable[[], trio.abc.Clock] = WallClock,
    stop_after: int = 10,
) -> Report:
    """TODO."""
    injections = named(by)
    conditions = Conditions(seed, hang_seconds, paths, clock)
    search = Search(scenario, conditions, stop_after)
    with quick_collections():
        untouched = search.run_untouched(partial(StepInjector, None))
        for injection in injections:
            if injection.applies(untouched.trial) and not search.is_unsound:
                search.run_all(
                    injection.name,
                    partial(StepInjector, injection),
                    untouched.moments,
                    moments(untouched.moments, sample, only),
                )
    return search.report
