"""End a server at every moment at which the outside can end it.

The fate of a task can only change between two of its steps. Trio shows both edges of
a step to an instrument: before it, what the task waited for has happened, and a
cancellation strikes at its *next* checkpoint; after it, the task has just parked, and
a cancellation aborts *that* wait. So: number those events for the server's tasks,
run the scenario once for each number, and act at that event; or for a sample of them.

python-trio/trio #77 has asked for such a tool since 2017.
"""

from __future__ import annotations

import signal
import warnings
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from functools import partial

import attrs
import pytest
import trio

from kit.moments import moments
from kit.serving import STUCK
from trioserver import BaseServer
from trioserver.testing import Snapshot


@attrs.define(eq=False)
class Injector(trio.abc.Instrument):
    """Counts the events of the server's tasks, and acts once at a given one."""

    act: Callable[[Injector], None]
    at_event: int
    scope: trio.CancelScope = attrs.field(factory=trio.CancelScope)
    server: BaseServer | None = None
    events: int = 0
    fired: str = ""
    settle: Callable[[], None] = lambda: None
    """Called after the run: waits for what was left to itself on purpose."""
    _tasks: set[trio.lowlevel.Task] = attrs.field(factory=set)

    def watch(self, task: trio.lowlevel.Task) -> None:
        """Count the events of *task*, and of all tasks that it will start."""
        self._tasks.add(task)

    def task_spawned(self, task: trio.lowlevel.Task) -> None:
        nursery = task.parent_nursery
        if nursery is not None and nursery.parent_task in self._tasks:
            self._tasks.add(task)

    def before_task_step(self, task: trio.lowlevel.Task) -> None:
        self._note("before a step of", task)

    def after_task_step(self, task: trio.lowlevel.Task) -> None:
        self._note("after a step of", task)

    def _note(self, edge: str, task: trio.lowlevel.Task) -> None:
        if task not in self._tasks:
            return
        self.events += 1
        if self.events == self.at_event:
            self.fired = f"{edge} {task.name}"
            self.act(self)


def cancel(injector: Injector) -> None:
    """Cancel serving from outside."""
    injector.scope.cancel()


def stop(injector: Injector) -> None:
    """Ask the server to shut down."""
    assert injector.server is not None
    trio.lowlevel.spawn_system_task(injector.server.shutdown)


def interrupt(_injector: Injector) -> None:
    """Press Ctrl-C."""
    signal.raise_signal(signal.SIGINT)


ACTIONS = (cancel, stop, interrupt)

Scenario = Callable[[Injector], Awaitable[None]]


@attrs.frozen
class Findings:
    """What came of ending a server at many moments."""

    events: int
    """How many events a run has that is left alone."""
    problems: list[str]
    """What was wrong, in words."""


def end_everywhere(
    scenario: Scenario,
    act: Callable[[Injector], None],
    *,
    every: bool = False,
    hang: float = STUCK,
    seed: int = 0,
    left_over: Callable[[], list[str]] = list,
) -> Findings:
    """Run *scenario* again and again, and end the server at another event each time.

    Args:
        scenario: Serves, and is told what ends it.
        act: Ends it.
        every: Whether to end it at every event, and not at a sample of them only.
        hang: Seconds after which a run hangs; one takes some milliseconds.
        seed: Decides the order in which tasks run.
        left_over: Returns what else a run has left behind, in words.
    """
    problems: list[str] = []

    def run(at_event: int) -> Injector:
        injector = Injector(act, at_event)
        problems.extend(_run_once(partial(_bounded, scenario, hang), injector, seed))
        problems.extend(left_over())
        return injector

    events = run(0).events
    for at_event in moments(events, every=every):
        if not run(at_event).fired:
            break
    return Findings(events, problems)


def _run_once(scenario: Scenario, injector: Injector, seed: int) -> list[str]:
    before = Snapshot.take()
    found: list[str] = []
    with warnings.catch_warnings(record=True) as caught, _deterministic(seed):
        warnings.simplefilter("always")
        try:
            _run_uninterrupted(scenario, injector)
        except Exception as error:
            found.append(f"raised {error!r}")
        injector.settle()
        found += Snapshot.take().left_behind(before)
    found += [str(warning.message) for warning in caught]
    where = f"event {injector.at_event}, {injector.act.__name__} {injector.fired}"
    return [f"{where}: {problem}" for problem in found]


async def _bounded(scenario: Scenario, hang: float, injector: Injector) -> None:
    with trio.fail_after(hang):
        await scenario(injector)


def _run_uninterrupted(scenario: Scenario, injector: Injector) -> None:
    try:
        trio.run(scenario, injector, instruments=[injector])
    except* KeyboardInterrupt:
        pass  # our own


@contextmanager
def _deterministic(seed: int) -> Iterator[None]:
    """Let Trio schedule in the same order in every run, as pytest-trio can, too."""
    run = trio._core._run
    state = run._r.getstate()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(run, "_ALLOW_DETERMINISTIC_SCHEDULING", True)
        run._r.seed(seed)
        yield
    run._r.setstate(state)


async def serve_watched(
    injector: Injector,
    serve: Callable[[trio.TaskStatus[BaseServer]], Awaitable[None]],
    *,
    task_status: trio.TaskStatus[BaseServer],
) -> None:
    """Serve in a task whose events are counted, inside the injector's scope."""
    injector.watch(trio.lowlevel.current_task())
    with injector.scope:
        await serve(task_status)
