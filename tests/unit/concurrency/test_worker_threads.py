"""Work in threads: its limit, its errors, and its end when the task is cancelled."""

from __future__ import annotations

import contextvars
import math
import threading
from collections.abc import Callable

import pytest
import trio

from kit.serving import STUCK, eventually
from kit.threads import wait_for_threads
from trioserver._concurrency.worker_threads import Job, WorkerThreads
from trioserver.testing import Snapshot

Finish = Callable[[], None]


class Blocking:
    """Work that blocks until it is released or interrupted."""

    def __init__(self, *, abandon: bool = False) -> None:
        self.begun = threading.Event()
        self.release = threading.Event()
        self.interruptions = 0
        self.is_over = False
        self.job = Job(self._work, interrupt=self._interrupt, abandon=abandon)

    def _work(self) -> None:
        self.begun.set()
        assert self.release.wait(STUCK)
        self.is_over = True

    def _interrupt(self) -> None:
        self.interruptions += 1


async def begin(
    nursery: trio.Nursery, threads: WorkerThreads, blocking: Blocking
) -> None:
    """Let *blocking* run in a task of *nursery*, and return when it blocks."""
    nursery.start_soon(threads.run, blocking.job)
    await eventually(blocking.begun.is_set)


async def test_runs_the_work_in_another_thread() -> None:
    seen: list[int] = []
    job = Job(lambda: seen.append(threading.get_ident()))

    await WorkerThreads(math.inf).run(job)

    assert len(seen) == 1
    assert seen != [threading.get_ident()]
    assert job.has_begun


@pytest.mark.parametrize("error", [ValueError, SystemExit, KeyboardInterrupt])
async def test_raises_what_the_work_raises_as_itself(
    error: type[BaseException],
) -> None:
    def fail() -> None:
        raise error

    threads = WorkerThreads(1)

    with pytest.raises(error):
        await threads.run(Job(fail))

    assert threads.limiter.borrowed_tokens == 0


async def test_the_work_sees_the_context_of_the_task_and_changes_a_copy() -> None:
    variable = contextvars.ContextVar("variable", default="nothing")
    seen: list[str] = []

    def look_and_change() -> None:
        seen.append(variable.get())
        variable.set("of the thread")

    variable.set("of the task")
    await WorkerThreads(math.inf).run(Job(look_and_change))

    assert seen == ["of the task"]
    assert variable.get() == "of the task"


async def test_a_busy_thread_is_noticed_by_the_fixture_that_looks_for_leaks() -> None:
    blocking = Blocking()
    before = Snapshot.take()

    with trio.fail_after(STUCK):
        async with trio.open_nursery() as nursery:
            await begin(nursery, WorkerThreads(math.inf), blocking)
            busy = Snapshot.take().left_behind(before)
            blocking.release.set()

    assert any(leak.startswith("thread trioserver") for leak in busy)


async def test_runs_no_more_at_once_than_the_limit() -> None:
    threads = WorkerThreads(1)
    first, second = Blocking(), Blocking()

    with trio.fail_after(STUCK):
        async with trio.open_nursery() as nursery:
            await begin(nursery, threads, first)
            nursery.start_soon(threads.run, second.job)
            await trio.testing.wait_all_tasks_blocked()
            assert not second.job.has_begun
            threads.limit = 2
            await eventually(second.begun.is_set)
            assert threads.limiter.borrowed_tokens == 2
            first.release.set()
            second.release.set()

    assert threads.limit == 2
    assert threads.limiter.borrowed_tokens == 0


async def test_many_blocked_threads_leave_the_other_threads_of_trio_alone() -> None:
    """Trio's own limit, which looking up a name needs too, is 40 threads."""
    threads = WorkerThreads(math.inf)
    crowd = [Blocking() for _ in range(50)]

    with trio.fail_after(STUCK):
        async with trio.open_nursery() as nursery:
            for blocking in crowd:
                await begin(nursery, threads, blocking)
            looked_up = await trio.socket.getaddrinfo("localhost", 0)
            elsewhere = await trio.to_thread.run_sync(threading.get_ident)
            for blocking in crowd:
                blocking.release.set()

    assert looked_up
    assert elsewhere != threading.get_ident()
    assert threads.limiter.borrowed_tokens == 0


async def test_a_thread_that_cannot_be_started_is_an_error_of_the_job(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def refuse(_: threading.Thread) -> None:
        message = "can't start new thread"
        raise RuntimeError(message)

    threads, job = WorkerThreads(1), Job(lambda: None)
    with monkeypatch.context() as patch:
        patch.setattr(trio._core._thread_cache, "THREAD_CACHE", fresh_cache())
        patch.setattr(threading.Thread, "start", refuse)
        with pytest.raises(RuntimeError, match="can't start new thread"):
            await threads.run(job)

    assert not job.has_begun
    assert threads.limiter.borrowed_tokens == 0


def fresh_cache() -> trio._core._thread_cache.ThreadCache:
    """Return a cache in which no idle thread is waiting for work."""
    return trio._core._thread_cache.ThreadCache()


# Cancellation


async def test_cancelled_while_it_waits_for_the_limit_the_job_never_begins() -> None:
    threads = WorkerThreads(1)
    first, second = Blocking(), Blocking()

    with trio.fail_after(STUCK):
        async with trio.open_nursery() as nursery:
            await begin(nursery, threads, first)
            async with trio.open_nursery() as waiting:
                waiting.start_soon(threads.run, second.job)
                await trio.testing.wait_all_tasks_blocked()
                waiting.cancel_scope.cancel()
            first.release.set()

    assert not second.job.has_begun
    assert (first.interruptions, second.interruptions) == (0, 0)
    assert threads.limiter.borrowed_tokens == 0


async def test_cancelled_it_interrupts_once_and_waits_for_the_thread() -> None:
    threads, blocking = WorkerThreads(1), Blocking()

    with trio.fail_after(STUCK):
        async with trio.open_nursery() as nursery:
            await begin(nursery, threads, blocking)
            nursery.cancel_scope.cancel()
            with trio.CancelScope(shield=True):
                await trio.testing.wait_all_tasks_blocked()
                before = (blocking.interruptions, blocking.is_over)
                blocking.release.set()

    assert before == (1, False)
    assert (blocking.interruptions, blocking.is_over) == (1, True)
    assert threads.limiter.borrowed_tokens == 0


async def test_cancelled_it_abandons_a_thread_which_keeps_its_token() -> None:
    threads, blocking = WorkerThreads(1), Blocking(abandon=True)

    with trio.fail_after(STUCK):
        async with trio.open_nursery() as nursery:
            await begin(nursery, threads, blocking)
            nursery.cancel_scope.cancel()
        before = (blocking.interruptions, blocking.is_over)
        assert threads.limiter.borrowed_tokens == 1
        blocking.release.set()
        await eventually(lambda: threads.limiter.borrowed_tokens == 0)

    assert before == (1, False)
    assert (blocking.interruptions, blocking.is_over) == (1, True)
    assert blocking.job.has_begun


@pytest.mark.parametrize("abandon", [False, True])
async def test_cancelled_just_before_the_thread_begins_the_job_is_revoked(
    monkeypatch: pytest.MonkeyPatch, *, abandon: bool
) -> None:
    threads, blocking = WorkerThreads(1), Blocking(abandon=abandon)
    held_back: list[Finish] = []

    def hold_back(do: Finish, deliver: Callable[[object], object], name: str) -> None:
        held_back.append(lambda: start(do, deliver, name))

    start = trio.lowlevel.start_thread_soon
    monkeypatch.setattr(trio._threads, "start_thread_soon", hold_back)
    with trio.fail_after(STUCK), trio.CancelScope() as scope:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(threads.run, blocking.job)
            await trio.testing.wait_all_tasks_blocked()
            scope.cancel()
            with trio.CancelScope(shield=True):
                await trio.testing.wait_all_tasks_blocked()
                (begin_late,) = held_back
                begin_late()
    with trio.fail_after(STUCK):
        await eventually(lambda: threads.limiter.borrowed_tokens == 0)

    assert scope.cancelled_caught
    assert not blocking.job.has_begun
    assert not blocking.begun.is_set()
    assert blocking.interruptions == 0


async def test_the_work_can_ask_whether_it_was_cancelled() -> None:
    def compute() -> None:
        begun.set()
        while True:
            trio.from_thread.check_cancelled()

    begun = threading.Event()
    with trio.fail_after(STUCK):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(WorkerThreads(1).run, Job(compute))
            await eventually(begun.is_set)
            nursery.cancel_scope.cancel()

    assert nursery.cancel_scope.cancelled_caught


async def test_what_the_work_awaits_in_trio_is_cancelled() -> None:
    def wait() -> None:
        begun.set()
        trio.from_thread.run(trio.sleep_forever)

    begun = threading.Event()
    with trio.fail_after(STUCK):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(WorkerThreads(1).run, Job(wait))
            await eventually(begun.is_set)
            await trio.testing.wait_all_tasks_blocked()
            nursery.cancel_scope.cancel()

    assert nursery.cancel_scope.cancelled_caught


def test_threads_abandoned_in_another_run_leave_their_places() -> None:
    """What ends after its `trio.run` can give nothing back in it."""
    threads, blocking = WorkerThreads(1), Blocking(abandon=True)

    async def abandon() -> None:
        async with trio.open_nursery() as nursery:
            await begin(nursery, threads, blocking)
            nursery.cancel_scope.cancel()

    async def run_another() -> None:
        with trio.fail_after(STUCK):
            await threads.run(Job(lambda: None))

    trio.run(abandon)
    assert threads.limiter.borrowed_tokens == 1
    blocking.release.set()
    trio.run(run_another)
    wait_for_threads()

    assert threads.limiter.borrowed_tokens == 0
    assert threads.limit == 1
