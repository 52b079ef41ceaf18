"""Serve in the main task of a run, as ``trio.run(server.serve)`` does.

Trio raises the `KeyboardInterrupt` of a Ctrl-C in the main task. So a scenario, which
is the clients, runs beside it, and lends it what is to be struck.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Final, Protocol, final

import attrs
import trio

from trioserver._exception_groups import un_nested

# The name of the task that serves.
MAIN: Final = "the main task"

# The name of a task that only waits for what it has lent.
LENDER: Final = "<lender>"


class Job(Protocol):
    """What may run in the main task: it says when it has started."""

    def __call__(self, *, task_status: trio.TaskStatus[object]) -> Awaitable[object]:
        """Run to the end."""
        ...


@final
@attrs.define(eq=False)
class Loan:
    """A job that was lent to the main task, and how it has ended."""

    job: Job
    task_status: trio.TaskStatus[object]
    scope: trio.CancelScope = attrs.Factory(trio.CancelScope)
    ended: trio.Event = attrs.Factory(trio.Event)
    error: BaseException | None = None

    async def run(self) -> None:
        """Run the job; what it raises is for the borrower."""
        try:
            with self.scope:
                await self.job(task_status=self.task_status)
        except BaseException as error:  # raised by the borrower
            self.error = error
        finally:
            self.ended.set()

    async def wait(self) -> None:
        """Wait for the end, and raise what the job has raised; cancelled, cancel it."""
        try:
            await self.ended.wait()
        except trio.Cancelled:
            self.scope.cancel()
            with trio.CancelScope(shield=True):
                await self.ended.wait()
            self._raise()
            raise
        self._raise()

    def _raise(self) -> None:
        # Kept nowhere: its traceback holds all that the job has used.
        error, self.error = self.error, None
        try:
            if error is not None:
                raise error
        finally:
            del error


@final
class MainTask:
    """Runs a scenario beside the main task, and one job at a time in it."""

    def __init__(self) -> None:
        self._is_busy = False
        self._loans, self._take = trio.open_memory_channel[Loan](1)

    async def run_beside(self, scenario: Callable[[], Awaitable[object]]) -> None:
        """Run *scenario* in a task of its own, and here what it lends."""
        with un_nested():
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._play, scenario, name="the scenario")
                async for loan in self._take:
                    await loan.run()
                    self._is_busy = False
                    del loan  # it may hold an error

    async def run_here(self, job: Job, *, task_status: trio.TaskStatus[object]) -> None:
        """Run *job* in the main task, or in the caller's if that has another one."""
        if self._is_busy:
            await job(task_status=task_status)
            return
        self._is_busy = True
        loan = Loan(job, task_status)
        self._loans.send_nowait(loan)
        await loan.wait()

    async def _play(self, scenario: Callable[[], Awaitable[object]]) -> None:
        with self._loans:
            await scenario()
