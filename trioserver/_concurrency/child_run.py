"""A Trio run in a forked child."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Awaitable, Callable, Generator
from contextlib import contextmanager, suppress
from contextvars import copy_context
from types import FrameType
from typing import Final, final

import trio


class TerminatedError(BaseException):
    """Somebody has sent SIGTERM."""


_INTERRUPTS: Final[dict[int, type[BaseException]]] = {
    signal.SIGINT: KeyboardInterrupt,
    signal.SIGTERM: TerminatedError,
}


@final
class ChildRun:
    """Runs an asynchronous function with Trio, and cancels it on a signal.

    In a thread of its own: the one that forked is in the middle of its parent's run,
    which it will never go back to, and Trio refuses a second one there. Python gives
    signals to that one, and so it waits for them.
    """

    __slots__ = (
        "_error",
        "_function",
        "_has_ended",
        "_interrupt",
        "_scope",
        "_token",
        "_wake_up",
    )

    def __init__(self, function: Callable[[], Awaitable[object]]) -> None:
        self._function = function
        self._has_ended = False
        # The end of a pipe that wakes the thread which waits.
        self._wake_up = -1
        self._error: BaseException | None = None
        self._interrupt: BaseException | None = None
        self._scope = trio.CancelScope()
        self._token: trio.lowlevel.TrioToken | None = None

    def run(self) -> None:
        """Run the function to its end.

        Raises:
            TerminatedError: After a SIGTERM, which has cancelled it.
            KeyboardInterrupt: After a SIGINT, likewise.
            BaseException: What the function raises.
        """
        for number in _INTERRUPTS:
            if signal.getsignal(number) is not signal.SIG_IGN:
                signal.signal(number, self._note_signal)
        # The context of the request, as its task in the parent has it.
        target = copy_context().run
        thread = threading.Thread(target=target, args=(self._run_in_thread,))
        with self._woken_by_signals() as bell:
            thread.start()
            while not self._has_ended:
                os.read(bell, 1)
            thread.join()
        if self._interrupt is not None:
            raise self._interrupt
        if self._error is not None:
            raise self._error

    @contextmanager
    def _woken_by_signals(self) -> Generator[int]:
        """Yield what can be read once a signal has come, or the run has ended.

        A lock cannot be waited for instead: who waits for one does not notice a signal
        that comes in the moment before, or that the system gives to another thread.
        """
        bell, self._wake_up = os.pipe()
        os.set_blocking(self._wake_up, False)
        before = signal.set_wakeup_fd(self._wake_up, warn_on_full_buffer=False)
        try:
            yield bell
        finally:
            signal.set_wakeup_fd(before)
            os.close(bell)
            os.close(self._wake_up)

    def _note_signal(self, number: int, _frame: FrameType | None) -> None:
        """Cancel the function. Raises nothing: that could be anywhere."""
        if self._interrupt is None:
            self._interrupt = _INTERRUPTS[number]()
            self._cancel()

    def _cancel(self) -> None:
        if self._token is not None:
            with suppress(trio.RunFinishedError):
                self._token.run_sync_soon(self._scope.cancel)

    def _run_in_thread(self) -> None:
        try:
            trio.run(self._main)
        except BaseException as error:  # it is raised in the other thread
            self._error = error
        finally:
            self._has_ended = True
            with suppress(BlockingIOError):  # there is something to be read already
                os.write(self._wake_up, b"-")

    async def _main(self) -> None:
        self._token = trio.lowlevel.current_trio_token()
        if self._interrupt is not None:
            self._scope.cancel()
        with self._scope:
            await self._function()
