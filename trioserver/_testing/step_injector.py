"""Count the moments at which the outside can act, and act at one of them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import final

import attrs
import trio

from trioserver._testing.await_frames import describe_task, runs_foreign_code
from trioserver._testing.injections import Injection
from trioserver._testing.main_task import MAIN
from trioserver._testing.task_tree import all_tasks
from trioserver._testing.trial import Trial
from trioserver._testing.watch import is_watching_task


@final
@attrs.define(eq=False)
class StepInjector(trio.abc.Instrument):
    """Counts the events of the watched tasks, and acts once at a given one.

    The fate of a task can only change between two of its steps, and Trio shows both
    edges of a step: before it, what the task waited for has happened, and a
    cancellation strikes at its *next* checkpoint; after it, the task has just parked,
    and a cancellation aborts *that* wait.
    """

    injection: Injection | None
    at_moment: int
    candidates: Sequence[Injection] = ()
    """What could be made to happen in runs like this one, if it applies."""
    applicable: list[Injection] = attrs.field(factory=list[Injection], init=False)
    """Those of them that do, as the end of the run has shown."""
    moments: int = 0
    """How many moments there were so far."""
    place: str = ""
    """Where it has acted, in words."""
    trial: Trial = attrs.field(factory=Trial, init=False)

    @property
    def instruments(self) -> list[trio.abc.Instrument]:
        """What has to watch the run: itself."""
        return [self]

    def finish(self) -> None:
        """See what applies, and let go of all that the run has."""
        self.applicable += [one for one in self.candidates if one.applies(self.trial)]
        self.trial.forget()

    def before_task_step(self, task: trio.lowlevel.Task) -> None:
        """Count the edge before a step."""
        if is_watching_task(self.trial, task):
            self._note("before", task)

    def after_task_step(self, task: trio.lowlevel.Task) -> None:
        """Count the edge after a step."""
        if is_watching_task(self.trial, task):
            self._note("after", task)

    def _note(self, edge: str, task: trio.lowlevel.Task) -> None:
        self.moments += 1
        if self.moments != self.at_moment or self.injection is None:
            return
        # The library's own tasks, which wait for work, would hide those that tell more.
        others = sorted(
            describe_task(other)
            for other in all_tasks()
            if other is not task
            and is_watching_task(self.trial, other)
            and (other.name == MAIN or runs_foreign_code(other))
        )
        self.place = "\n    meanwhile ".join(
            [f"{edge} a step of {describe_task(task)}", *others]
        )
        try:
            self.injection.strike(self.trial)
        except Exception as error:  # Trio would drop this instrument, and go on
            self.trial.report_error(f"{self.injection.name} itself", error)
