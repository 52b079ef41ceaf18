"""What is known of the thread that runs a request."""

from __future__ import annotations

import threading
from collections.abc import Generator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Final, final

from trioserver._concurrency.worker_threads import Job
from trioserver._engine.hooks import Request
from trioserver._exception_groups import is_cancellation

# The request's task sets it, and its thread has a copy of the task's context.
_current: Final[ContextVar[ThreadRun | None]] = ContextVar("_current", default=None)


@final
class ThreadRun:
    """One request, as its task and its thread both know it."""

    __slots__ = ("_ident", "escaping", "job", "request")

    def __init__(self, request: Request) -> None:
        self.request = request
        self.job: Job | None = None
        """The work that was given to a thread, if any was."""
        self.escaping: BaseException | None = None
        """What ends the server: a ``SystemExit``, or what ``handle_error()`` raises."""
        self._ident: int | None = None

    @property
    def has_begun(self) -> bool:
        """Whether the request belongs, or belonged, to a thread."""
        return self.job is not None and self.job.has_begun

    @property
    def is_here(self) -> bool:
        """Whether the caller is in the thread that the request was given to."""
        return self._ident == threading.get_ident()

    @contextmanager
    def in_thread(self) -> Generator[None]:
        """Note that this is the thread that the request was given to."""
        self._ident = threading.get_ident()
        try:
            yield
        finally:
            self._ident = None

    def is_left_to_thread(self, error: BaseException) -> bool:
        """Whether *error* says no more than that the thread was abandoned."""
        return (
            self.job is not None
            and self.job.abandon
            and self.job.has_begun
            and is_cancellation(error)
        )


def begin_run(request: Request) -> ThreadRun:
    """Note that the current task is about to process *request*."""
    run = ThreadRun(request)
    _current.set(run)
    return run


def current_run() -> ThreadRun | None:
    """Return the run of the current task, or of the current thread."""
    return _current.get()


def note_escaping(error: BaseException) -> None:
    """Note that *error* ends the server, if that waits for this thread."""
    run = current_run()
    if run is not None and run.is_here:
        run.escaping = error


def is_escaping() -> bool:
    """Whether an error of this thread's request is about to end the server."""
    run = current_run()
    return run is not None and run.escaping is not None


def run_of(request: Request) -> ThreadRun:
    """Return the run of *request* in the current task; a new one, if it has none."""
    run = _current.get()
    return run if run is not None and run.request is request else begin_run(request)
