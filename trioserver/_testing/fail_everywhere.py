"""Let every operation that a scenario does on sockets fail, in every way it can."""

from __future__ import annotations

import logging
import os
import socket
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import cast, final

import attrs
import trio

from trioserver._servers.base import BaseServer
from trioserver._testing.dispatches import Dispatches
from trioserver._testing.errnos import ERRNOS
from trioserver._testing.fault_injector import FaultInjector
from trioserver._testing.harm import Probe, ServerT
from trioserver._testing.injector import Injector
from trioserver._testing.lane import Lane
from trioserver._testing.log_watch import LogWatch
from trioserver._testing.moments import Choice
from trioserver._testing.one_run import Conditions, Scenario, quick_collections
from trioserver._testing.options import check_names, check_outside_of_trio
from trioserver._testing.overseer import WallClock
from trioserver._testing.report import Report
from trioserver._testing.search import Search
from trioserver._testing.socket_calls import Operation, intercepted


def fail_everywhere(  # noqa: PLR0913  # all but one are options, and named
    scenario: Scenario,
    *,
    probe: Probe[ServerT] | None = None,
    operations: str | Iterable[str] | None = None,
    seed: int = 0,
    sample: int | None = None,
    only: int | Iterable[int] | None = None,
    hang_seconds: float = 5.0,
    paths: Sequence[str | os.PathLike[str]] = (),
    clock: Callable[[], trio.abc.Clock] = WallClock,
    stop_after: int = 10,
) -> Report:
    """Let one operation on a socket fail, and every other one in another run.

    Runs *scenario* again and again. In each run, one operation of what it watches fails
    with one of the errnos that Linux documents for it, or transfers one byte only: the
    next one each time, until there is no other. First those of tasks fail, then those
    of the threads that they wait for, then those of the children that they fork: each
    thread and each child counts from 1, and the first to come to a number fails.
    Sockets of the real network are meant: a server that `Trial.serving` would move to a
    `MemoryNetwork` is refused. What clients do with Trio's sockets never fails.

    It is a problem if

    - anything comes out of the server, but a `~trioserver.ListenerBrokenError`
      after its own socket has failed for good;
    - more than one client notices, or one at all where the system has lost nothing;
    - a fresh client is not served afterwards;
    - something is left behind, hangs, runs away, or lets no other task run (see
      `cancel_everywhere`);
    - a record in the log has several lines, or is louder than what a client can cause
      at will may be.

    A scenario that serves nothing is watched as a whole: to make a server, for one. It
    may then end in the `OSError` of what has failed.

    Args:
        scenario: Gets a `Trial`, serves with it, and talks to the server.
        probe: Gets the server when the block of `Trial.serving` has ended, as a fresh
            client that must be served.
        operations: Just these fail, or this one: methods of `socket.socket`,
            ``"epoll_create"``, ``"epoll_ctl_add"``, ``"epoll_ctl_mod"`` and
            ``"epoll_ctl_del"``.
        seed: Decides the order in which tasks run.
        sample: How many failures to try, evenly spread; None: all. So many of tasks, of
            threads, and of children.
        only: Just these, by their numbers in a report.
        hang_seconds: After that, a run is hanging.
        paths: Directories in which no file may be left.
        clock: Makes the clock of each run, as
            ``lambda: trio.testing.MockClock(autojump_threshold=0)``.
        stop_after: After so many runs that have failed, no other is tried.
    """
    check_outside_of_trio("fail_everywhere")
    choice = Choice(sample, only)
    conditions = Conditions(seed, hang_seconds, paths, clock)
    search = Search(scenario, conditions, stop_after)
    with Dispatches() as dispatches:
        faults = _Faults(dispatches, _for_any(probe), _checked(operations))
        with quick_collections(), faults.log.watching(), intercepted(faults.intercept):
            for lane in Lane:
                _search_lane(search, partial(faults.injector, lane), lane, choice)
    return search.report


def _search_lane(
    search: Search, injector: Callable[[int], Injector], lane: Lane, choice: Choice
) -> None:
    """Let fail what runs in one *lane*, if anything does, and is sound without that."""
    moments = 0 if search.is_unsound else search.run_untouched(injector).moments
    if moments and not search.is_unsound:
        search.run_all(lane.value, injector, moments, choice.among(moments))


def _for_any(probe: Probe[ServerT] | None) -> Probe[BaseServer] | None:
    """Return *probe*, which is given the servers of its scenario, and no others."""
    return cast("Probe[BaseServer] | None", probe)


def _checked(operations: str | Iterable[str] | None) -> frozenset[str] | None:
    """Return *operations*, each of which there is."""
    if operations is None:
        return None
    wanted = [operations] if isinstance(operations, str) else list(operations)
    check_names("operations", wanted, {operation for operation, _ in ERRNOS})
    return frozenset(wanted)


@final
@attrs.define
class _Faults:
    """Makes the injector of each run, and hands on to it what the run does."""

    dispatches: Dispatches
    probe: Probe[BaseServer] | None
    operations: frozenset[str] | None
    log: LogWatch = attrs.field(init=False)
    _current: FaultInjector = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        self.log = LogWatch(self._loudest, self._note)
        self.injector(Lane.TRIO, 0)

    def injector(self, lane: Lane, at_moment: int) -> FaultInjector:
        """Return what lets the failure of this number happen."""
        self._current = FaultInjector(at_moment, self.dispatches, self.operations, lane)
        self._current.trial.harm.probe = self.probe
        self.log.start_anew()
        return self._current

    def _loudest(self) -> int:
        """Return the level above which nothing may be logged about the fault."""
        fault = self._current.fault
        by_client = fault is not None and fault.is_by_client
        return logging.INFO if by_client else logging.CRITICAL

    def _note(self, problem: str) -> None:
        self._current.note_problem(problem)

    def intercept(
        self,
        operation: str,
        sock: socket.socket | None,
        original: Operation,
        arguments: tuple[object, ...],
    ) -> object:
        """Let the present run's injector decide."""
        return self._current.intercept(operation, sock, original, arguments)
