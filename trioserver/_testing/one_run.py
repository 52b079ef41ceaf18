"""Run a scenario once, and find everything that is wrong with it."""

from __future__ import annotations

import gc
import os
from collections.abc import Awaitable, Callable, Generator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Final, TypeAlias

import attrs
import trio

from trioserver._exception_groups import leaves
from trioserver._testing.injector import Injector
from trioserver._testing.leaks import Snapshot, leaks_since
from trioserver._testing.left_tasks import tasks_left
from trioserver._testing.main_task import MAIN
from trioserver._testing.noise import recorded_noise
from trioserver._testing.options import check_seconds, checked_paths
from trioserver._testing.overseer import STEP_SECONDS, Overseer, WallClock
from trioserver._testing.scheduling import deterministic_scheduling
from trioserver._testing.trial import Trial
from trioserver._testing.watchdog import watchdog

Scenario: TypeAlias = Callable[[Trial], Awaitable[object]]

# Seconds that threads and children may still take to end, after a run.
_THREADS_END: Final = 1.0


def _check_hang_seconds(
    _conditions: object, attribute: attrs.Attribute[float], value: float
) -> None:
    check_seconds(attribute.name, value)


@attrs.frozen
class Conditions:
    """What all runs of one scenario have in common."""

    seed: int = 0
    """Decides the order in which tasks run."""
    hang_seconds: float = attrs.field(default=5.0, validator=_check_hang_seconds)
    """Seconds after which a run hangs, from its start and from the trouble."""
    paths: Sequence[str | os.PathLike[str]] = attrs.field(
        default=(), converter=checked_paths
    )
    """Directories in which no file may be left."""
    clock: Callable[[], trio.abc.Clock] = attrs.field(
        default=WallClock, validator=attrs.validators.is_callable()
    )
    """Makes the clock of each run."""
    whole: bool = False
    """Whether all of the scenario is watched."""


def run_once(
    scenario: Scenario, injector: Injector, conditions: Conditions
) -> tuple[str, ...]:
    """Run *scenario* once. Return what was wrong, in words.

    Nothing of it remains for the next run: what only the garbage collector closes is
    told of this one.
    """
    trial = injector.trial
    overseer = Overseer(trial, conditions.hang_seconds, conditions.clock())
    before = Snapshot.take(conditions.paths, collect=False)
    leaks: list[str] = []
    with recorded_noise() as noise:
        with deterministic_scheduling(conditions.seed):
            main = partial(trial.run, scenario, whole=conditions.whole)
            _run(main, overseer, injector.instruments)
        found = overseer.found
        if overseer.has_given_up:
            overseer.clear_away()
        else:
            leaks += leaks_since(before, conditions.paths, patience=_THREADS_END)
            trial.check_end()
        overseer.forget()
        injector.finish()
        gc.collect()
    if overseer.has_given_up:
        # What is left then says nothing: everything was dropped as it was.
        return found
    return (*trial.problems, *(f"left behind: {leak}" for leak in leaks), *noise)


def _run(
    main: Callable[[], Awaitable[object]],
    overseer: Overseer,
    instruments: Sequence[trio.abc.Instrument],
) -> None:
    """Run *main*, and note what comes out of it."""
    trial = overseer.trial
    try:
        with watchdog(overseer.look, STEP_SECONDS):
            trio.run(
                partial(_main, main, overseer),
                clock=overseer.clock,
                instruments=[*instruments, overseer],
            )
        if trial.expects(KeyboardInterrupt):
            trial.problems.append(
                "Ctrl-C was swallowed: the run has gone on to its end"
            )
    except trio.TrioInternalError as error:
        if not overseer.has_given_up:
            trial.report_error("Trio", error)
    except BaseException as error:  # whatever it is, it is a finding
        if _is_from_keyboard(error) and not trial.expects(KeyboardInterrupt):
            raise
        trial.judge(error)


def _is_from_keyboard(error: BaseException) -> bool:
    """Whether somebody has pressed Ctrl-C."""
    return any(isinstance(leaf, KeyboardInterrupt) for leaf in leaves(error))


async def _main(main: Callable[[], Awaitable[object]], overseer: Overseer) -> None:
    trio.lowlevel.current_task().name = MAIN
    overseer.begin()
    with tasks_left(overseer.trial.problems.append):
        await main()


@contextmanager
def quick_collections() -> Generator[None]:
    """Let runs in the block collect their own garbage only, and only in their end.

    What is referenced by nobody but a cycle would be closed at an odd time otherwise,
    and to look through everything that tests have imported takes ten times as long.
    """
    was_enabled, was_frozen = gc.isenabled(), gc.get_freeze_count()
    gc.collect()
    gc.freeze()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()
        if not was_frozen:
            gc.unfreeze()
