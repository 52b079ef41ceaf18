"""Run a scenario again and again, with trouble at another moment each time."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Final, TypeVar, final

import attrs

from trioserver._testing.injector import Injector
from trioserver._testing.one_run import Conditions, Scenario, run_once
from trioserver._testing.options import check_count
from trioserver._testing.report import Failure, Report

InjectorT = TypeVar("InjectorT", bound=Injector)

# Runs in a row in which the moment does not come, past the last that was counted,
# before it is believed that there are no more: a thread can shift it by a few.
_ENOUGH: Final = 2


def _check_count(_search: object, attribute: attrs.Attribute[int], value: int) -> None:
    check_count(attribute.name, value)


@final
@attrs.define
class Search:
    """All runs of one scenario, and what was found in them."""

    scenario: Scenario = attrs.field(validator=attrs.validators.is_callable())
    conditions: Conditions
    stop_after: int = attrs.field(validator=_check_count)
    report: Report = attrs.Factory(Report)

    def run_untouched(self, injector: Callable[[int], InjectorT]) -> InjectorT:
        """Run the scenario without trouble, and find out what is to be watched.

        Args:
            injector: Makes an injector that acts at the moment of this number.
        """
        untouched = self._run("", injector(0), 0)
        if untouched.trial.is_used or self.report.failures:
            return untouched
        self.conditions = attrs.evolve(self.conditions, whole=True)
        return self._run("", injector(0), 0)

    @property
    def is_unsound(self) -> bool:
        """Whether something is wrong without trouble: then there is no use in any."""
        return any(not failure.number for failure in self.report.failures)

    def run_all(
        self,
        by: str,
        injector: Callable[[int], Injector],
        total: int,
        numbers: Iterable[int],
    ) -> None:
        """Run the scenario once for each of *numbers*, and make trouble there.

        Args:
            by: How the report calls the trouble.
            injector: Makes an injector that acts at the moment of this number.
            total: How many moments there were in a run without trouble.
            numbers: Which moments to try. It may be without an end.
        """
        tried = missed = 0
        for number in numbers:
            if len(self.report.failures) >= self.stop_after:
                self.report.is_cut_short = True
                break
            came = self._run(by, injector(number), number).trial.is_injected
            tried += came
            missed = missed + 1 if number > total and not came else 0
            if missed == _ENOUGH:
                break
        self.report.moments[by] = total
        self.report.tried[by] = tried

    def _run(self, by: str, injector: InjectorT, number: int) -> InjectorT:
        problems = run_once(self.scenario, injector, self.conditions)
        self.report.note(
            Failure(by, number, self.conditions.seed, injector.place, problems)
        )
        return injector
