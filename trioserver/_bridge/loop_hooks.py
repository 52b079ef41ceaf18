"""Call the hooks that the loop of socketserver calls: one at a time, in a thread."""

from __future__ import annotations

import math
import threading
from collections.abc import Callable
from functools import partial
from typing import TypeVar, final

import trio

from trioserver._concurrency.worker_threads import Job, WorkerThreads
from trioserver._exception_groups import un_nested

ResultT = TypeVar("ResultT")


def _nothing() -> None:
    """Do nothing."""


@final
class LoopHooks:
    """Calls hooks in threads, and never two at once: existing code relies on it.

    They run in threads because they may wait: for a handshake, or for a look-up in the
    DNS.
    """

    __slots__ = ("_lock", "_patience", "_running", "_workers")

    def __init__(self, patience: float) -> None:
        """Give a hook *patience* seconds to return when its task is cancelled."""
        self._patience = patience
        self._workers = WorkerThreads(math.inf)
        self._lock = threading.Lock()
        self._running = 0

    @property
    def is_in_hook(self) -> bool:
        """Whether the calling thread runs a hook."""
        return threading.get_ident() == self._running

    def run(self, hook: Callable[[], ResultT]) -> ResultT:
        """Call *hook* in this thread, as soon as no other one runs."""
        with self._lock:
            self._running = threading.get_ident()
            try:
                return hook()
            finally:
                self._running = 0

    async def call(
        self,
        hook: Callable[[], ResultT],
        *,
        interrupt: Callable[[], None] = _nothing,
        abandon: bool = False,
    ) -> ResultT:
        """Call *hook* in another thread, and return what it returns.

        Raises:
            BaseException: Whatever *hook* raises.

        Cancellation:
            The hook has a bounded time to return normally. Then *interrupt* is called,
            and the thread waited for, or left alone if *abandon* is true.
        """
        results: list[ResultT] = []
        work = partial(_append_result, results, partial(self.run, hook))
        await self._run_patiently(Job(work, interrupt=interrupt, abandon=abandon))
        return results[0]

    async def _run_patiently(self, job: Job) -> None:
        with un_nested():
            async with trio.open_nursery() as nursery:
                with trio.CancelScope(shield=True) as scope:
                    nursery.start_soon(_limit_when_cancelled, scope, self._patience)
                    await self._workers.run(job)
                nursery.cancel_scope.cancel()


def _append_result(results: list[ResultT], function: Callable[[], ResultT]) -> None:
    results.append(function())


async def _limit_when_cancelled(scope: trio.CancelScope, seconds: float) -> None:
    """Give what runs in *scope* a deadline as soon as this task is cancelled."""
    try:
        await trio.sleep_forever()
    except trio.Cancelled:
        # Not raised again: the result of the hook must not get lost.
        scope.deadline = trio.current_time() + seconds
