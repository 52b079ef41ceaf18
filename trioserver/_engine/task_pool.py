"""Tasks that do one piece of work after the other, each as if it were a new task.

To wake a task costs a fifth of what starting one does (3.4 µs instead of 16). What a
new task promises holds for one that is used again: it has a context, a name and a stack
of its own, and nothing that the work before has left behind.
"""

from __future__ import annotations

import sys
from collections.abc import Awaitable, Callable
from contextvars import Context
from typing import Final, Generic, TypeVar, final

import trio

WorkT = TypeVar("WorkT")

# The most that wait for work at a time. Each holds 1.8 KB. 16 datagrams are received at
# once, and as many tasks are soon idle again if the handlers are quick.
MAX_PARKED: Final = 64

# Which tasks own locks of Trio's, so that whoever waits for one is told when its owner
# ends. Nothing public says so.
_owners: Final[dict[trio.lowlevel.Task, object] | None] = getattr(
    sys.modules.get("trio._core._parking_lot"), "GLOBAL_PARKING_LOT_BREAKER", None
)


@final
class _Parked(Generic[WorkT]):
    """A task that waits, and what it will be woken for."""

    __slots__ = ("task", "work")

    def __init__(self, task: trio.lowlevel.Task) -> None:
        self.task = task
        self.work: WorkT | None = None


@final
class TaskPool(Generic[WorkT]):
    """The tasks of one nursery: those that work, and those that wait for work."""

    __slots__ = ("_context", "_is_ended", "_name", "_nursery", "_parked", "_run")

    def __init__(
        self,
        nursery: trio.Nursery,
        context: Context,
        run: Callable[[WorkT], Awaitable[None]],
    ) -> None:
        """Let tasks of *nursery* work.

        Args:
            nursery: Where they live. It waits for them, so `end` has to be called.
            context: What each of them begins with, in a copy.
            run: What a task does: the given work, and then more of it, as long as
                `next_work` returns any.
        """
        self._nursery = nursery
        self._context = context
        self._run = run
        # As Trio would call it.
        self._name = f"{run.__module__}.{run.__qualname__}"
        self._parked: list[_Parked[WorkT]] = []
        self._is_ended = False

    def start(self, work: WorkT) -> None:
        """Let a task do *work*: one that waits for it, or else a new one."""
        if not self._parked:
            self._context.run(
                self._nursery.start_soon, self._run, work, name=self._name
            )
            return
        # The last one: what it needs is in the processor's cache.
        parked = self._parked.pop()
        parked.work = work
        task = parked.task
        task.context = self._context.copy()
        task.name = self._name
        trio.lowlevel.reschedule(task)

    async def next_work(self) -> WorkT | None:
        """Wait for work, in a task that has none left.

        Returns:
            The work. None if the task has to end: because no work comes any more,
            because enough others wait for it, or because it is not as good as new.

        Cancellation:
            There was no work.
        """
        task = trio.lowlevel.current_task()
        if (
            self._is_ended
            or len(self._parked) >= MAX_PARKED
            or not _is_as_new(task, self._nursery)
        ):
            return None
        parked: _Parked[WorkT] = _Parked(task)
        self._parked.append(parked)
        # Whatever the last one holds would stay alive.
        task.context = self._context

        def leave(_: object) -> trio.lowlevel.Abort:
            self._parked.remove(parked)
            return trio.lowlevel.Abort.SUCCEEDED

        await trio.lowlevel.wait_task_rescheduled(leave)
        return parked.work

    def end(self) -> None:
        """Let those end that wait for work, and the others when they have done theirs.

        `start` may not be called any more.
        """
        self._is_ended = True
        while self._parked:
            trio.lowlevel.reschedule(self._parked.pop().task)


def _is_as_new(task: trio.lowlevel.Task, nursery: trio.Nursery) -> bool:
    """Whether nothing is open in *task*: no cancel scope, no nursery, no lock.

    A generator that was not closed may hold a scope, whose deadline would strike in the
    midst of other work. Trio clears all of that away when a task ends, and has no
    public way to see it; should it not be where it is today, no task is as good as new.
    """
    status = getattr(task, "_cancel_status", None)
    return (
        status is not None
        and status is getattr(nursery, "_cancel_status", None)
        and _owners is not None
        and task not in _owners
    )
