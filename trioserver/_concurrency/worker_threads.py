"""Run synchronous work in threads of one server, and end it when it is cancelled.

No thread can be cancelled from outside. What can be done is to end what it waits for,
and then to wait for the thread itself, or to leave it alone.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import final

import trio

from trioserver._exception_groups import un_nested


def _nothing() -> None:
    """Do nothing."""


@final
class Job:
    """A piece of work for a thread. It begins once, or is revoked before it begins."""

    __slots__ = ("_claim", "_interrupt", "_is_over", "_is_revoked", "_work", "abandon")

    def __init__(
        self,
        work: Callable[[], None],
        *,
        interrupt: Callable[[], None] = _nothing,
        abandon: bool = False,
    ) -> None:
        """Describe some work.

        Args:
            work: Called in the thread.
            interrupt: Called in Trio's thread, at most once, when the task is
                cancelled while *work* runs. It ends what *work* waits for, must not
                block and must not fail.
            abandon: What a cancelled task does then: leave the thread alone, or wait
                for its end.
        """
        self.abandon = abandon
        """Whether a cancelled task leaves the thread alone."""
        self._work = work
        self._interrupt = interrupt
        # Whoever gets hold of it, the thread or the cancelled task, has the work. It
        # is never released.
        self._claim = threading.Lock()
        self._is_revoked = False
        self._is_over = False  # there is nothing to interrupt any more

    @property
    def has_begun(self) -> bool:
        """Whether a thread has begun with the work.

        Once `WorkerThreads.run` has returned or raised, this is final.
        """
        return self._claim.locked() and not self._is_revoked

    def do(self) -> None:
        """Do the work, in the thread, unless it was revoked."""
        if self._claim.acquire(blocking=False):
            try:
                self._work()
            finally:
                self._is_over = True

    def stop(self) -> None:
        """Revoke the work if it has not begun; otherwise, interrupt it."""
        if self._claim.acquire(blocking=False):
            self._is_revoked = self._is_over = True
        elif not self._is_over:
            self._is_over = True
            self._interrupt()


@final
class WorkerThreads:
    """The threads of one server, of which not more than `limit` run at once.

    They are Trio's worker threads, so that `trio.from_thread` works in them, but the
    limit is not Trio's own: 40 idle connections would keep the whole program from
    looking up names.
    """

    __slots__ = ("_limiter", "_token")

    def __init__(self, limit: float) -> None:
        """Allow *limit* threads at once: a whole number, or `math.inf`."""
        self._limiter = trio.CapacityLimiter(limit)
        self._token: trio.lowlevel.TrioToken | None = None

    @property
    def limit(self) -> float:
        """How many threads may run at once. It may be changed at any time."""
        return self._limiter.total_tokens

    @limit.setter
    def limit(self, limit: float) -> None:
        self._limiter.total_tokens = limit

    @property
    def is_full(self) -> bool:
        """Whether as many threads run as may."""
        return self._limiter.available_tokens <= 0

    @property
    def limiter(self) -> trio.CapacityLimiter:
        """The limiter whose tokens the threads of this `trio.run` hold."""
        return self._limiter

    @trio.lowlevel.enable_ki_protection
    async def run(self, job: Job) -> None:
        """Do *job* in a thread, as soon as the limit allows.

        The thread sees the context variables of this task, and a copy of its own.

        Raises:
            RuntimeError: If the system has no more threads; the job has not begun.
            BaseException: Whatever the work raises, and as itself.

        Cancellation:
            Before it has begun, the job never will. After that, it is interrupted.
            Unless ``job.abandon`` is set, this call then waits for the thread, and
            returns or raises what the work does. Otherwise the thread goes on, with
            its place under the limit, until its work has ended.
        """
        self._renew_limiter()
        with un_nested():
            async with trio.open_nursery() as nursery:
                nursery.start_soon(_stop_when_cancelled, job)
                await trio.to_thread.run_sync(
                    job.do,
                    limiter=self._limiter,
                    abandon_on_cancel=job.abandon,
                    thread_name="trioserver",
                )
                nursery.cancel_scope.cancel()
        if not job.has_begun:
            # Revoked when the thread was about to begin, which is not to be cancelled.
            await trio.lowlevel.checkpoint()

    def _renew_limiter(self) -> None:
        """Forget the threads that were abandoned in a `trio.run` that is over.

        Their tokens are never given back: that would have been done in that run.
        """
        token = trio.lowlevel.current_trio_token()
        if self._token is not token:
            if self._token is not None:
                self._limiter = trio.CapacityLimiter(self.limit)
            self._token = token


@trio.lowlevel.enable_ki_protection
async def _stop_when_cancelled(job: Job) -> None:
    """Stop *job* when the task that does it is cancelled, or when it is done."""
    try:
        await trio.sleep_forever()
    except trio.Cancelled:
        # Not raised again: this task has ended, and the other one knows for itself.
        job.stop()
