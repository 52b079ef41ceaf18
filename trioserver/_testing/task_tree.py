"""Walk the tasks of a Trio run."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import trio


def all_tasks() -> Iterator[trio.lowlevel.Task]:
    """Yield every task of the run in this thread; none, if there is no run."""
    if trio.lowlevel.in_trio_run():
        root = trio.lowlevel.current_root_task()
        yield from () if root is None else _with_descendants([root])


def tasks_below(nursery: trio.Nursery) -> Iterator[trio.lowlevel.Task]:
    """Yield the tasks in *nursery*, and those in the nurseries of these tasks."""
    return _with_descendants(nursery.child_tasks)


def _with_descendants(
    tasks: Iterable[trio.lowlevel.Task],
) -> Iterator[trio.lowlevel.Task]:
    waiting = list(tasks)
    while waiting:
        task = waiting.pop()
        yield task
        for nursery in task.child_nurseries:
            waiting += nursery.child_tasks
