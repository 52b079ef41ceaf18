"""One child process: fork it, wait for it, end it; and reap it, whatever happens."""

from __future__ import annotations

import gc
import os
import signal
import threading
import warnings
from collections.abc import Callable
from contextlib import suppress
from typing import Final, NoReturn, final

import attrs
import trio

from trioserver._concurrency.exit_watch import ExitWatch, watch_exit
from trioserver._concurrency.standard_streams import flush_standard_streams

# What Trio calls its worker threads while they have nothing to do.
_IDLE_THREADS: Final = "Trio thread"

# Seconds between two tries to reap a child that has ended, while a debugger or strace
# has it: until that has looked, the parent is told of its end, and cannot reap it.
REAP_PAUSE: Final = 0.05


@attrs.frozen
class ExitStatus:
    """How a child has ended."""

    code: int | None
    """Its exit code; less than 0 for the signal that killed it, as in `subprocess`.

    None if somebody else has reaped it, so that nobody can know.
    """

    ended_by: signal.Signals | None = None
    """The last signal that we have sent to end it."""


@final
class ChildProcess:
    """A child that this process forks, and waits for by its number alone."""

    __slots__ = ("_sent", "_watch", "pid", "status")

    def __init__(self) -> None:
        self.pid: int | None = None
        """Its number, once it was started."""
        self.status: ExitStatus | None = None
        """How it has ended, once it was reaped."""
        self._watch: ExitWatch | None = None
        self._sent: signal.Signals | None = None

    def start(self, body: Callable[[], NoReturn]) -> None:
        """Fork, and run *body* in the child. May be called once.

        Whatever this raises, `end` must be called.

        Raises:
            OSError: If there can be no more processes.
            RuntimeError: If there is a child, but no way to wait for it.
        """
        # Or the child would have what is in them as well, and write it again.
        flush_standard_streams()
        # A signal that came to the child before it has its own handlers would run
        # those of the parent, and be lost.
        mask = signal.pthread_sigmask(signal.SIG_BLOCK, ())
        try:
            signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
            self.pid = _fork_into(body)
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, mask)
        self._watch = watch_exit(self.pid)

    async def wait(self) -> None:
        """Wait until the child has ended, and reap it.

        Cancellation:
            The child goes on.
        """
        while self.status is None and self._watch is not None:
            await self._watch.wait()
            self._reap(os.WNOHANG)
            if self.status is None:
                await trio.sleep(REAP_PAUSE)

    async def end(self, grace: float) -> None:
        """Make the child end, if it still runs, and reap it.

        Sends SIGTERM, and after *grace* seconds SIGKILL.

        Cancellation:
            Is not delivered here. On a second Ctrl-C, the child is killed at once.
        """
        if self.pid is None:
            return
        try:
            if self.status is None and self._watch is not None:
                with trio.CancelScope(shield=True):
                    await self._terminate(self._watch, grace)
        finally:
            if self.status is None:
                self._sent = signal.SIGKILL
                os.kill(self.pid, signal.SIGKILL)
                self._reap(0)
            if self._watch is not None:
                self._watch.close()

    async def _terminate(self, watch: ExitWatch, grace: float) -> None:
        self._send(watch, signal.SIGTERM)
        with trio.move_on_after(grace):
            await self.wait()
        if self.status is None:
            self._send(watch, signal.SIGKILL)
            await self.wait()

    def _send(self, watch: ExitWatch, number: signal.Signals) -> None:
        self._sent = number
        # Somebody else may have reaped it.
        with suppress(ProcessLookupError):
            watch.send(number)

    def _reap(self, options: int) -> None:
        assert self.pid is not None  # noqa: S101  # there is a child
        try:
            found = os.waitid(os.P_PID, self.pid, os.WEXITED | options)
        except ChildProcessError:
            self.status = ExitStatus(None, self._sent)
            return
        if found is not None:
            was_killed = found.si_code != os.CLD_EXITED
            code = -found.si_status if was_killed else found.si_status
            self.status = ExitStatus(code, self._sent)


def _fork_into(body: Callable[[], NoReturn]) -> int:
    """Fork, and run *body* in the child.

    Nothing may be collected in the child before its garbage is set aside.
    """
    collects = gc.isenabled()
    gc.disable()
    try:
        return _fork() or _begin(body, collects)
    finally:
        if collects:
            gc.enable()


def _begin(body: Callable[[], NoReturn], collects: bool) -> NoReturn:
    """Run *body*. What is garbage by now is the parent's: no finalizer runs twice."""
    gc.freeze()
    if collects:
        gc.enable()
    body()


def _fork() -> int:
    """Fork; without Python's warning of threads, if there are none to be warned of.

    Since Python 3.12 it warns where there is any other thread: a lock that one of them
    holds stays locked in the child for ever. Trio's idle threads hold none, and Trio
    itself forgets them in the child. About all others the warning is right.
    """
    if not _has_only_idle_threads():
        return os.fork()
    with warnings.catch_warnings():
        warnings.filterwarnings(
            "ignore", r"This process \(pid=\d+\) is multi-threaded", DeprecationWarning
        )
        return os.fork()


def _has_only_idle_threads() -> bool:
    """Whether there are other threads, and all of them are idle ones of Trio's."""
    others = set(threading.enumerate()) - {threading.current_thread()}
    return bool(others) and all(
        thread.name.startswith(_IDLE_THREADS) for thread in others
    )
