"""End a run that does not end by itself, and say where its tasks are."""

from __future__ import annotations

import threading
import time
from collections import Counter
from types import FrameType
from typing import Final, NoReturn, final

import attrs
import trio

from trioserver._testing.abandoned import (
    Closable,
    RunGivenUp,
    close_coroutines,
    close_listeners,
    empty_nurseries,
    make_immortal,
)
from trioserver._testing.await_frames import describe_task, short_name
from trioserver._testing.busy_threads import busy_threads
from trioserver._testing.caller import caller
from trioserver._testing.task_tree import all_tasks
from trioserver._testing.trial import Trial

# Steps of one task, after the trouble and in a run without. A whole run has some
# hundred; what swallows every cancellation never stops, and makes 50 000 in a second.
_MAX_STEPS_AFTER: Final = 5000
_MAX_STEPS: Final = 10_000

STEP_SECONDS: Final = 10.0
"""Seconds of real time between two looks whether the run goes on.

What is found in the same place twice will never end: it has been there for that long at
least, and for twice as long at most.
"""

# Steps above which a task that hangs may just as well be one that runs away.
_MANY: Final = 1000


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
    _found: tuple[str, ...] | None = None
    _running: trio.lowlevel.Task | None = None
    _last_seen: tuple[trio.lowlevel.Task | None, int, float] | None = None
    _steps_made: int = 0
    _has_cleared: bool = False
    _steps: Counter[trio.lowlevel.Task] = attrs.Factory(Counter[trio.lowlevel.Task])
    _busy_before: frozenset[threading.Thread] = frozenset()
    _abandoned: list[Closable] = attrs.Factory(list[Closable])
    _nurseries: list[trio.Nursery] = attrs.Factory(list[trio.Nursery])

    def begin(self) -> None:
        """Start to watch, inside the run."""
        # Threads of whoever runs the tests are not the run's.
        self._busy_before = frozenset(busy_threads())
        trio.lowlevel.spawn_system_task(self._watch_for_hang, name="<overseer>")

    def before_task_step(self, task: trio.lowlevel.Task) -> None:
        """Count the steps of each task; since the trouble, once it was made."""
        if self.trial.is_injected and not self._has_cleared:
            self._has_cleared = True
            self._steps.clear()
        self._steps[task] += 1
        # Trio's own tasks wake for each signal, also for that which calls look().
        self._steps_made += not task.name.startswith("<")
        self._running = task
        limit = _MAX_STEPS_AFTER if self._has_cleared else _MAX_STEPS
        if self._steps[task] == limit:
            self._give_up(f"runs away: {limit} steps of {describe_task(task)}")

    def after_task_step(self, task: trio.lowlevel.Task) -> None:  # noqa: ARG002  # as Trio calls it
        """Note that no task is in the midst of a step."""
        self._running = None

    @property
    def found(self) -> tuple[str, ...]:
        """What was found in the run, in words.

        If a step was ended by force, what was found until then: what comes out of it
        later, as from scopes that are left out of order, is the doing of that.
        """
        return tuple(self.trial.problems) if self._found is None else self._found

    def look(self, frame: FrameType | None) -> None:
        """Give the run up if it is where it was the last time.

        Either in the same step; or it waits, and its clock stands still, so that what
        watches from inside waits for ever, too.

        Args:
            frame: What runs just now.

        Raises:
            RunGivenUp: To end the step.
        """
        if self._running is None and self.has_given_up:
            return
        seen = self._progress()
        if seen != self._last_seen:
            self._last_seen = seen
        elif self._running is None:
            # The signal that has called this wakes Trio, which then asks for the time.
            still = "its clock stands still, and nothing has run for more than"
            self._give_up(self._describe_hang(f"{still} {STEP_SECONDS:g} s"))
        else:
            self._end_step(self._running, frame)

    def _progress(self) -> tuple[trio.lowlevel.Task | None, int, float]:
        """Return what is different later, unless the run has got stuck."""
        if self._running is None:
            return None, self._steps_made, self.clock.current_time()
        return self._running, self._steps[self._running], 0.0

    def _end_step(self, task: trio.lowlevel.Task, frame: FrameType | None) -> NoReturn:
        if not self.has_given_up:
            took = f"one step has taken more than {STEP_SECONDS:g} s"
            where = f"{short_name(task)} at {caller(frame)}"
            self._give_up(f"lets no other task run, {took}: {where}")
            self._found = tuple(self.trial.problems)
        raise RunGivenUp

    async def _watch_for_hang(self) -> None:
        with trio.move_on_after(self.hang_seconds):
            await self.trial.injected.wait()
        since = "the start"
        if self.trial.is_injected:
            since = "the trouble"
            await trio.sleep(self.hang_seconds)
        why = f"not ended {self.hang_seconds} s after {since}"
        self._give_up(self._describe_hang(why))

    def _describe_hang(self, why: str) -> str:
        tasks = [describe_task(task) for task in all_tasks() if not _is_trios(task)]
        threads = [
            place
            for thread, place in busy_threads().items()
            if thread not in self._busy_before
        ]
        return "\n    ".join([f"hangs: {why}", *sorted(tasks), *sorted(threads)])

    def _give_up(self, why: str) -> None:
        self.trial.problems.append(why)
        self.has_given_up = True
        for task in all_tasks():
            self._nurseries += task.child_nurseries
            if self._steps[task] < _MANY:
                self._abandoned.append(task.coro)
            else:
                make_immortal(task)
        # Whatever clock it is: this one instance never tells the time again.
        vars(self.clock)["current_time"] = _give_up

    def clear_away(self) -> None:
        """Close what is left of a run that was given up, after its end."""
        close_coroutines(self._abandoned)
        empty_nurseries(self._nurseries)
        close_listeners(self.trial.servers)

    def forget(self) -> None:
        """Let go of the tasks, after the end of the run."""
        self._abandoned.clear()
        self._nurseries.clear()
        self._steps.clear()
        self._running = self._last_seen = None


def _is_trios(task: trio.lowlevel.Task) -> bool:
    return task.name.startswith(("<", "trio."))


def _give_up() -> NoReturn:
    raise RunGivenUp
