"""Whose doing it is: what a trial watches, wherever that runs.

A context variable says so, because tasks, Trio's threads and forked children all begin
with a copy of the context of who has started them.
"""

from __future__ import annotations

import os
from collections.abc import Generator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Final, final

import trio

from trioserver._testing.lane import Lane

# What is watching. By its identity: the kinds of things that watch are above this.
_watcher: Final[ContextVar[object]] = ContextVar("_watcher", default=None)


@contextmanager
def watched(watcher: object) -> Generator[None]:
    """Let *watcher* watch what runs in this block, and all that is started there."""
    token = _watcher.set(watcher)
    try:
        yield
    finally:
        _watcher.reset(token)


def is_watching(watcher: object) -> bool:
    """Whether *watcher* watches the caller."""
    return _watcher.get() is watcher


def is_watching_task(watcher: object, task: trio.lowlevel.Task) -> bool:
    """Whether *watcher* watches *task*."""
    return task.context.get(_watcher) is watcher


def current_lane(pid: int) -> Lane:
    """Return where the caller runs, if *pid* is the process that runs Trio."""
    if os.getpid() != pid:
        return Lane.CHILD
    try:
        trio.lowlevel.current_task()
    except RuntimeError:
        return Lane.THREAD
    return Lane.TRIO


@final
class Count:
    """What was counted by one process, or during the work of one thread."""

    def __init__(self, watcher: object) -> None:
        self.watcher = watcher
        self.moments = 0


_count: Final[ContextVar[Count | None]] = ContextVar("_count", default=None)


def count_of_work(watcher: object) -> Count:
    """Return the count of the work that the current thread does, for *watcher*.

    Each piece of work that Trio gives to a thread has a context of its own.
    """
    count = _count.get()
    if count is None or count.watcher is not watcher:
        count = Count(watcher)
        _count.set(count)
    return count
