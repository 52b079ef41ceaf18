"""End a run that does not end by itself, and say where its tasks are."""

from __future__ import annotations

import time
from typing import NoReturn, final

import attrs
import trio

from trioserver._testing.await_frames import describe_task
from trioserver._testing.task_tree import all_tasks
from trioserver._testing.trial import Trial

# Task steps after the trouble. A whole run has some hundred; what swallows every
# cancellation makes this many in a fraction of a second, and never stops.
_MAX_STEPS = 5000


class RunGivenUp(BaseException):
    """Comes out of the clock of a run that is given up."""


class WallClock(trio.abc.Clock):
    """The real time, from an origin of its own."""

    def start_clock(self) -> None:
        """Do nothing: it runs."""

    def current_time(self) -> float:
        """Return the time in seconds."""
        return time.perf_counter()

    def deadline_to_sleep_time(self, deadline: float) -> float:
        """Return the seconds until *deadline*."""
        return deadline - self.current_time()


@final
@attrs.define(eq=False)
class Overseer(trio.abc.Instrument):
    """Watches one run: whether it hangs, and whether it runs away.

    To give a run up, its clock is made to raise: that is an error inside of Trio, which
    drops all tasks as they are. To cancel them would not do, since what hangs or runs
    away is what does not heed that.
    """

    trial: Trial
    hang_seconds: float
    clock: trio.abc.Clock
    has_given_up: bool = False
    _steps_after: int = 0

    def begin(self) -> None:
        """Start to watch, inside the run."""
        trio.lowlevel.spawn_system_task(self._watch_for_hang, name="<overseer>")

    def before_task_step(self, task: trio.lowlevel.Task) -> None:
        """Count the steps after the trouble."""
        if self.trial.is_injected:
            self._steps_after += 1
            if self._steps_after == _MAX_STEPS:
                self._give_up(
                    f"runs away: {_MAX_STEPS} steps since then, "
                    f"now of {describe_task(task)}"
                )

    async def _watch_for_hang(self) -> None:
        with trio.move_on_after(self.hang_seconds):
            await self.trial.injected.wait()
        since = "the start"
        if self.trial.is_injected:
            since = "the trouble"
            await trio.sleep(self.hang_seconds)
        own = trio.lowlevel.current_task()
        tasks = [
            describe_task(task)
            for task in all_tasks()
            if task is not own and not _is_trios(task)
        ]
        head = f"hangs: not ended {self.hang_seconds} s after {since}"
        self._give_up("\n    ".join([head, *sorted(tasks)]))

    def _give_up(self, why: str) -> None:
        self.trial.problems.append(why)
        self.has_given_up = True
        # Whatever clock it is: this one instance never tells the time again.
        vars(self.clock)["current_time"] = _give_up


def _is_trios(task: trio.lowlevel.Task) -> bool:
    return task.name.startswith(("<", "trio."))


def _give_up() -> NoReturn:
    raise RunGivenUp
