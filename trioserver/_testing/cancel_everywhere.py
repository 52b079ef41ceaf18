"""End what a scenario serves at every moment at which the outside can end it."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Sequence
from functools import partial

import trio

from trioserver._testing.injections import ALL_KINDS, Injection, Kind, named
from trioserver._testing.moments import Choice
from trioserver._testing.one_run import Conditions, Scenario, quick_collections
from trioserver._testing.options import check_outside_of_trio
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
    """Run *scenario* again and again, and end it at another moment each time.

    The outside can change the fate of a task only between two of its steps. So the
    scenario runs once without any trouble, and these moments are counted; then it runs
    once for each of them, and there the trouble is made. Each run takes some
    milliseconds. It must not be called inside of a Trio run.

    What is served with `Trial.serving` is what the trouble is made for, and runs in the
    main task, where Ctrl-C strikes; all else in the scenario is the clients. A scenario
    that serves nothing is ended as a whole.

    - ``"cancel"``: the server is cancelled from outside;
    - ``"interrupt"``: somebody presses Ctrl-C; in the main thread only, where it
      strikes, and elsewhere it is not among the kinds that are tried by default;
    - ``"shutdown"``, ``"close"``: somebody calls ``shutdown()``, or ``server_close()``;
    - ``"reset"``: the clients of `Trial.add_client` reset their connections.

    In each run it is a finding

    - if anything is left behind: a descriptor, a thread, a child, a task, a file below
      *paths*, a token of a limiter, a request in flight; or is closed by the garbage
      collector only;
    - if the run has not ended after *hang_seconds*; if a task takes thousands of
      steps, as one that swallows its cancellation; or if nothing goes on for more than
      ten seconds, in one step of a task, or because the clock stands still;
    - if the server raises anything that the trouble does not explain, or swallows a
      Ctrl-C;
    - if a client has an error that is not forgiven, as `Trial.forgives` says: after
      ``"shutdown"`` and ``"close"``, each request that was accepted is promised its
      reply.

    That nothing goes on is seen after ten to twenty seconds of real time, by a signal:
    in the main thread only, and if SIGALRM is free. pytest-timeout takes it, for one,
    unless it is told to use a thread. Windows has none.

    Args:
        scenario: An asynchronous function that takes a `Trial`. It has to do the same
            in each run.
        by: Which trouble to make. What does not apply is left out, as ``"reset"``
            without clients.
        seed: Decides the order in which tasks run that could run in any order.
        sample: How many of the moments to try, evenly spread. None: all.
        only: The numbers of the moments to try, as a report names them.
        hang_seconds: Seconds after which a run hangs, by its own clock.
        paths: Directories in which no file may be left.
        clock: Makes the clock of each run, as
            ``lambda: trio.testing.MockClock(autojump_threshold=0)``.
        stop_after: How many failed runs are enough.

    Returns:
        What was found. A test calls `Report.check`.

    Raises:
        ValueError: If an argument makes no sense; ``"interrupt"`` outside of the main
            thread, for one.
    """
    check_outside_of_trio("cancel_everywhere")
    injections, choice = named(by), Choice(sample, only)
    conditions = Conditions(seed, hang_seconds, paths, clock)
    search = Search(scenario, conditions, stop_after)
    with quick_collections():
        untouched = search.run_untouched(
            partial(StepInjector, None, candidates=injections)
        )
        for injection in untouched.applicable:
            if not search.is_unsound:
                search.run_all(
                    injection.name,
                    partial(StepInjector, injection),
                    untouched.moments,
                    choice.among(untouched.moments),
                )
    return search.report
